"""bf16.py > test/golden/trl/bf16.json: what torch.autocast to bfloat16 makes of the fixed batch, as TRL trains on GPUs.

    PYTHONPATH=PACKAGES:TRL python3 test/python/bf16.py > test/golden/trl/bf16.json

with the packages of reference_free.py. float32 weights on a CPU; DPOTrainer's own loss of a tiny policy against its
reference, in float32 and under autocast. `distance`: |g - g32| / |g32| of each weight's gradient g under autocast: how far
bfloat16 is from float32.
"""

import json
import os
import sys
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", CI="1", CUDA_VISIBLE_DEVICES="")

import torch
import transformers
import trl
from datasets import Dataset, disable_progress_bars
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "trl")
SCHEDULE = dict(learning_rate=1e-3, max_steps=20, lr_scheduler_type="linear", warmup_steps=2, weight_decay=0.01, max_grad_norm=1.0)
FIGURES = ["loss", "rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "logps/rejected", "grad_norm"]
tokenizer = AutoTokenizer.from_pretrained(os.path.join(GOLDEN, "tokenizer"))
rows = [json.loads(line) for line in open(os.path.join(GOLDEN, "train-80.jsonl"), encoding="utf-8")]
pairs = json.load(open(os.path.join(GOLDEN, "batch.json")))["pairs"]


def digits(value):
    return float(f"{float(value):.9g}")


def load(name):
    return AutoModelForCausalLM.from_pretrained(os.path.join(GOLDEN, name), dtype=torch.float32, attn_implementation="eager")


class Recorder(TrainerCallback):
    def __init__(self):
        self.logs = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.logs.append({name: digits(logs[name]) for name in FIGURES})


class InOrder(DPOTrainer):
    def _get_train_sampler(self, *args, **kwargs):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def trainer(policy, reference, bf16, **args):
    config = dict(per_device_train_batch_size=4, max_length=512, beta=0.1, save_strategy="no", report_to="none", use_cpu=True)
    config |= dict(gradient_checkpointing=False, dataloader_pin_memory=False, disable_tqdm=True, logging_steps=1, seed=0)
    recorder = Recorder()
    one = InOrder(
        model=load(policy),
        ref_model=load(reference),
        args=DPOConfig(output_dir=folder, bf16=bf16, **config, **args),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[recorder],
    )
    return one, recorder


def step(model, bf16):
    one, _ = trainer(f"{model}-policy", model, bf16)
    batch = one.data_collator([{f"{part}_ids": pair[part] for part in ("prompt", "chosen", "rejected")} for pair in pairs])
    one.model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        loss = one._compute_loss(one.model, batch, False)
    loss.backward()
    gradients = {name: p.grad.double() for name, p in one.model.named_parameters() if p.grad is not None}
    return loss, gradients, {name: values[-1] for name, values in one._metrics["train"].items()}


def compared(model):
    loss32, gradients32, _ = step(model, False)
    loss, gradients, metrics = step(model, True)
    norm = sum((g**2).sum() for g in gradients.values()).sqrt()
    return {
        "loss32": digits(loss32),
        "loss": digits(loss),
        "gradNorm": digits(norm),
        "metrics": {name: digits(metrics[name]) for name in FIGURES[1:-1]},
        "distance": {name: digits((g - gradients32[name]).norm() / gradients32[name].norm()) for name, g in gradients.items()},
    }


def run(model):
    one, recorder = trainer(model, model, True, **SCHEDULE)
    one.train()
    return {"init": model, "args": {"beta": 0.1, **SCHEDULE}, "logs": recorder.logs}


torch.set_num_threads(1)
disable_progress_bars()
out, sys.stdout = sys.stdout, sys.stderr
with tempfile.TemporaryDirectory() as folder:
    models = {model: compared(model) for model in ("tiny", "tiny-gpt2")}
    known = {
        "versions": {"trl": trl.__version__, "transformers": transformers.__version__, "torch": torch.__version__},
        "models": models,
        "run": run("tiny"),
    }
json.dump(known, out, indent=1)
