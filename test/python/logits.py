"""logits.py < [{"folder": ..., "ids": [...], "messages": [...], "adapter": ...}]: what transformers makes of each
folder, and PEFT of an adapter beside it, as JSON."""

import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def answer(folder, ids, messages=None, adapter=None):
    model, loading = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, dtype=adapter and torch.float32)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    tokenizer = messages and AutoTokenizer.from_pretrained(folder)
    return {
        "dtype": str(model.dtype),
        "problems": {name: sorted(map(str, keys)) for name, keys in loading.items() if keys},
        "chat": tokenizer and tokenizer.apply_chat_template(messages, tokenize=False),
        "logits": logits.tolist(),
    }


print(json.dumps([answer(**asked) for asked in json.load(sys.stdin)]))
