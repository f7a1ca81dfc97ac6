"""reference_free.py | gzip -n9 > test/golden/trl/reference-free.json.gz: TRL's own SimPO, CPO and ORPO.

    python3 -m pip install --no-deps --target TRL trl==1.16.0 datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1 ...
    PYTHONPATH=PACKAGES:TRL python3 test/python/reference_free.py | gzip -n9 > test/golden/trl/reference-free.json.gz

PACKAGES is the folder that test/python/install.ts makes; the dots are what datasets and pandas import. float32 on a CPU, but
for the made-up log-probabilities, which are float64. In all three parts the losses come out of the trainers' own
get_batch_loss_metrics:

- unit: made-up log-probabilities of loss-unit.json.gz, with the gradient by each token;
- models: the fixed batch of batch.json on the tiny policies, with the norm of the gradient over all weights;
- traces: runs of 20 steps on train-80.jsonl, its messages taken as texts.

ORPOTrainer takes its cross-entropy over prompt and answer. For it each prompt is cut to its first token, which nothing
predicts: then that is over the answer.
"""

import gzip
import json
import os
import sys
import tempfile
from types import SimpleNamespace

os.environ.update(HF_HUB_OFFLINE="1", CI="1", CUDA_VISIBLE_DEVICES="", TRL_EXPERIMENTAL_SILENCE="1")

import torch
import transformers
import trl
from datasets import Dataset, disable_progress_bars
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "trl")
TRAINERS = {"cpo": (CPOTrainer, CPOConfig), "orpo": (ORPOTrainer, ORPOConfig)}
CASES = {
    "cpo": ("cpo", {}),
    "cpo_alpha0": ("cpo", {"cpo_alpha": 0.0}),
    "cpo_alpha0.3_beta0.5": ("cpo", {"cpo_alpha": 0.3, "beta": 0.5}),
    "cpo_ls0.1": ("cpo", {"label_smoothing": 0.1}),
    "simpo": ("cpo", {"loss_type": "simpo", "cpo_alpha": 0.0}),
    "simpo_beta2.5_gamma1.375": ("cpo", {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.5, "simpo_gamma": 1.375}),
    "simpo_ls0.1": ("cpo", {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.0, "label_smoothing": 0.1}),
    "simpo+sft0.3": ("cpo", {"loss_type": "simpo", "cpo_alpha": 0.3, "beta": 2.0}),
    "orpo": ("orpo", {}),
    "orpo_beta0.5": ("orpo", {"beta": 0.5}),
}
SETS = ["near", "far", "one_pair", "extreme"]
RUNS = {
    "cpo": ("cpo", {"learning_rate": 1e-3}),
    "simpo": ("cpo", {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.0, "simpo_gamma": 1.0, "learning_rate": 1e-3}),
    "orpo": ("orpo", {"learning_rate": 1e-3}),
}
SCHEDULE = dict(max_steps=20, lr_scheduler_type="linear", warmup_steps=2, weight_decay=0.01, max_grad_norm=1.0)
FIGURES = ["loss", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected", "nll_loss"]
tokenizer = AutoTokenizer.from_pretrained(os.path.join(GOLDEN, "tokenizer"))


def digits(value):
    return float(f"{float(value):.9g}")


def figures(logs, names=FIGURES):
    return {name: digits(logs[name]) for name in names}


def load(name):
    return AutoModelForCausalLM.from_pretrained(os.path.join(GOLDEN, name), dtype=torch.float32, attn_implementation="eager")


class Recorder(TrainerCallback):
    def __init__(self):
        self.logs = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.logs.append(figures(logs, [*FIGURES, "grad_norm", "learning_rate"]))


def trainer(kind, args, model, rows, callbacks=()):
    base, config = TRAINERS[kind]

    class InOrder(base):
        def _get_train_sampler(self, *args, **kwargs):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    fixed = dict(per_device_train_batch_size=4, max_length=512, logging_steps=1, save_strategy="no", report_to="none", use_cpu=True)
    fixed |= dict(bf16=False, gradient_checkpointing=False, dataloader_pin_memory=False, disable_tqdm=True, seed=0)
    return InOrder(
        model=model,
        args=config(output_dir=folder, **fixed, **args),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )


def features(prompt, chosen, rejected):
    sides = {"chosen": chosen, "rejected": rejected}
    row = {f"{side}_input_ids": prompt + answer for side, answer in sides.items()}
    row |= {f"{side}_attention_mask": [1] * len(prompt + answer) for side, answer in sides.items()}
    return row | {f"{side}_labels": [-100] * len(prompt) + answer for side, answer in sides.items()}


class Made:
    """A model of two words whose word 0 has the log-probabilities given, of each row's answer."""

    def __init__(self, rows):
        self.rows = [torch.tensor(row, dtype=torch.float32).double().requires_grad_() for row in rows]

    def __call__(self, input_ids, **kwargs):
        logits = torch.zeros(*input_ids.shape, 2, dtype=torch.float64)
        for i, row in enumerate(self.rows):
            logits[i, : len(row)] = torch.stack([row, torch.log(-torch.expm1(row))], dim=-1)
        return SimpleNamespace(logits=logits)


def unit(kind, args):
    known = json.load(gzip.open(os.path.join(GOLDEN, "loss-unit.json.gz")))["sets"]
    one = trainer(kind, args, load("tiny"), texts()[kind][:4])
    found = {}
    for name in SETS:
        rows = known[name]["policy"]
        pairs = zip(rows[: len(rows) // 2], rows[len(rows) // 2 :])
        model = Made(rows)
        loss, metrics = one.get_batch_loss_metrics(model, one.data_collator([features([1], [0] * len(c), [0] * len(r)) for c, r in pairs]))
        loss.backward()
        found[name] = {
            "loss": digits(loss),
            "rewards": [digits(metrics["rewards/chosen"]), digits(metrics["rewards/rejected"])],
            "grad": [[digits(value) for value in row.grad] for row in model.rows],
        }
    return found


def on_batch(kind, args, name):
    one = trainer(kind, args, load(name), texts()[kind][:4])
    pairs = json.load(open(os.path.join(GOLDEN, "batch.json")))["pairs"]
    prompts = [pair["prompt"][: 1 if kind == "orpo" else None] for pair in pairs]
    batch = one.data_collator([features(prompt, pair["chosen"], pair["rejected"]) for prompt, pair in zip(prompts, pairs)])
    loss, metrics = one.get_batch_loss_metrics(one.model, batch)
    loss.backward()
    squares = [(p.grad.double() ** 2).sum() for p in one.model.parameters() if p.grad is not None]
    return {"loss": digits(loss), "gradNorm": digits(sum(squares).sqrt()), "metrics": figures(metrics, FIGURES[1:])}


def texts():
    """CPOTrainer puts the tokenizer's bos before a prompt: it stands there already, so that DPO's tokenisation gives the same."""
    rows = [json.loads(line) for line in open(os.path.join(GOLDEN, "train-80.jsonl"), encoding="utf-8")]
    bos = tokenizer.bos_token

    def row(prompt, space):
        return lambda each: {"prompt": bos + prompt(each), **{side: space + each[side][0]["content"] for side in ("chosen", "rejected")}}

    with_prompt, without = row(lambda each: each["prompt"][0]["content"], " "), row(lambda each: "", "")
    return {"cpo": [with_prompt(each) for each in rows], "orpo": [without(each) for each in rows]}


def run(kind, args):
    recorder = Recorder()
    rows = texts()[kind]
    trainer(kind, args | SCHEDULE, load("tiny"), rows, [recorder]).train()
    return {"init": "tiny", "args": {"beta": 0.1, **args, **SCHEDULE}, "logs": recorder.logs}


torch.set_num_threads(1)
disable_progress_bars()
out, sys.stdout = sys.stdout, sys.stderr
with tempfile.TemporaryDirectory() as folder:
    known = {
        "versions": {"trl": trl.__version__, "transformers": transformers.__version__, "torch": torch.__version__},
        "cases": {name: {"trainer": kind, "args": args} for name, (kind, args) in CASES.items()},
        "unit": {name: unit(*case) for name, case in CASES.items()},
        "models": {model: {name: on_batch(*case, f"{model}-policy") for name, case in CASES.items()} for model in ("tiny", "tiny-gpt2")},
        "traces": {name: {"trainer": kind, **run(kind, args)} for name, (kind, args) in RUNS.items()},
    }
json.dump(known, out)
