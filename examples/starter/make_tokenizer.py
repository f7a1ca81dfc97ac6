"""Trains the starter model's tokenizer on the example's own text; its result is committed.

    pip install tokenizers==0.22.1 && python3 examples/starter/make_tokenizer.py
"""
import gzip
import json
import os

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]


def texts():
    """Every message that training sees; the held-out file stays unseen."""
    for name in ("pairs.jsonl.gz", "sft.jsonl.gz"):
        with gzip.open(os.path.join(HERE, "..", "data", name), "rt", encoding="utf-8") as rows:
            for row in map(json.loads, rows):
                for column in row.values():
                    for message in column:
                        yield message["role"] + "\n" + message["content"]


tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
tokenizer.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(
    vocab_size=1024, special_tokens=SPECIAL, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
)
tokenizer.train_from_iterator(texts(), trainer)
tokenizer.save(os.path.join(HERE, "tokenizer.json"))
print(tokenizer.get_vocab_size(), "tokens")
