"""trl_run.py > test/golden/trl/run-200.json: TRL's own training run of 200 steps, whose figures ours are compared with.

    python3 -m venv VENV && VENV/bin/pip install trl==1.16.0 transformers==5.23.0 torch==2.15.0
    VENV/bin/python test/python/trl_run.py > test/golden/trl/run-200.json

The tiny Llama on 800 pairs in the file's order, 4 a step: no shuffle to reproduce. float32 on the CPU.
"""

import gzip
import json
import os
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch
import transformers
import trl
from datasets import Dataset, disable_progress_bars
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "trl")
STEPS = 200
ARGS = dict(
    per_device_train_batch_size=4,
    max_length=512,
    beta=0.1,
    learning_rate=5e-6,
    max_steps=STEPS,
    lr_scheduler_type="linear",
    warmup_steps=2,
    weight_decay=0.01,
    max_grad_norm=1.0,
)
FIGURES = [
    "loss",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/margins",
    "rewards/accuracies",
    "logps/chosen",
    "logps/rejected",
    "grad_norm",
    "learning_rate",
]


class InOrder(DPOTrainer):
    def _get_train_sampler(self, *args, **kwargs):
        return torch.utils.data.SequentialSampler(self.train_dataset)


class Recorder(TrainerCallback):
    def __init__(self):
        self.logs = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.logs.append({name: float(f"{float(logs[name]):.9g}") for name in FIGURES})


def load():
    folder = os.path.join(GOLDEN, "tiny")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")


def rows():
    with gzip.open(os.path.join(GOLDEN, "train-800.jsonl.gz"), "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def run(folder):
    recorder = Recorder()
    config = DPOConfig(
        output_dir=folder,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        seed=0,
        **ARGS,
    )
    InOrder(
        model=load(),
        ref_model=load(),
        args=config,
        train_dataset=Dataset.from_list(rows()),
        processing_class=AutoTokenizer.from_pretrained(os.path.join(GOLDEN, "tokenizer")),
        callbacks=[recorder],
    ).train()
    return recorder.logs


torch.set_num_threads(1)
disable_progress_bars()
out, sys.stdout = sys.stdout, sys.stderr
with tempfile.TemporaryDirectory() as folder:
    logs = run(folder)
versions = {"trl": trl.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
known = {"versions": versions, "init": "tiny", "args": ARGS}
out.write(json.dumps(known)[:-1] + ', "logs": [\n' + ",\n".join(map(json.dumps, logs)) + "\n]}\n")
