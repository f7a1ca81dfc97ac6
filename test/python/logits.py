"""logits.py MODEL < {"ids": [...], "messages": [...]}: what transformers makes of an exported folder, as JSON."""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, asked = sys.argv[1], json.load(sys.stdin)
model, loading = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
tokenizer = AutoTokenizer.from_pretrained(folder)
with torch.no_grad():
    logits = model(torch.tensor([asked["ids"]])).logits[0]
answer = {
    "dtype": str(model.dtype),
    "problems": {name: sorted(map(str, keys)) for name, keys in loading.items() if keys},
    "chat": tokenizer.apply_chat_template(asked["messages"], tokenize=False),
    "logits": logits.tolist(),
}
print(json.dumps(answer))
