"""TRL's own trainer, which takes a step when a line is written to it and tells of it as ours.ts does.

TRL by its own settings as fast as they make it on a CPU: float32, no recomputation, the reference computed once before, fused AdamW, sdpa.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch
from datasets import Dataset, disable_caching, disable_progress_bars
from peft import LoraConfig, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer

DENSE = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def tell(**event):
    print(json.dumps(event), flush=True)


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


class Turns(TrainerCallback):
    """Waits before each step, and tells of it when its loss is known."""

    def __init__(self, waits):
        self.waits = waits

    def on_step_begin(self, args, state, control, **kwargs):
        # Nothing more will come when the benchmark itself is gone.
        if self.waits and not os.read(0, 1):
            sys.exit(1)
        self.seconds, self.cpu = time.perf_counter(), cpu_seconds()

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "grad_norm" not in logs:
            return
        tell(
            event="step",
            step=state.global_step,
            loss=float(logs["loss"]),
            gradNorm=float(logs["grad_norm"]),
            seconds=time.perf_counter() - self.seconds,
            cpuSeconds=cpu_seconds() - self.cpu,
            peakMiB=peak_mib(),
        )


class TimedReference(DPOTrainer):
    """Knows how long the reference pass took."""

    reference_seconds = 0.0

    def _precompute_ref_logps(self, *args, **kwargs):
        started = time.perf_counter()
        result = super()._precompute_ref_logps(*args, **kwargs)
        self.reference_seconds += time.perf_counter() - started
        return result


def rows(path):
    with open(path, encoding="utf-8") as lines:
        return Dataset.from_list([json.loads(line) for line in lines])


def options():
    parser = argparse.ArgumentParser()
    for name in ["model", "train", "heldout", "adapter"]:
        parser.add_argument(f"--{name}")
    for name in ["batch-size", "accumulation", "steps", "max-length", "threads", "rank", "alpha"]:
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--epoch", action="store_true")
    return parser.parse_args()


def config(o, folder):
    return DPOConfig(
        output_dir=folder,
        per_device_train_batch_size=o.batch_size,
        gradient_accumulation_steps=o.accumulation,
        per_device_eval_batch_size=4,
        max_steps=o.steps,
        max_length=o.max_length,
        learning_rate=o.learning_rate,
        train_sampling_strategy="sequential",
        precompute_ref_log_probs=True,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        logging_steps=1,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def main():
    o = options()
    torch.set_num_threads(o.threads)
    disable_caching()
    disable_progress_bars()
    lora = o.rank and LoraConfig(
        r=o.rank, lora_alpha=o.alpha, lora_dropout=0.0, task_type="CAUSAL_LM", target_modules=DENSE
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = TimedReference(
            model=AutoModelForCausalLM.from_pretrained(o.model, dtype=torch.float32, attn_implementation="sdpa"),
            args=config(o, folder),
            train_dataset=rows(o.train),
            eval_dataset=o.heldout and rows(o.heldout),
            processing_class=AutoTokenizer.from_pretrained(o.model),
            peft_config=lora or None,
            callbacks=[Turns(waits=not o.epoch)],
        )
        if o.adapter:
            start = {f"base_model.model.{name}": value for name, value in load_file(o.adapter).items()}
            set_peft_model_state_dict(trainer.model, start)
        tell(event="ready", referenceSeconds=trainer.reference_seconds)
        trainer.train()
        if o.heldout:
            tell(event="end", heldOutLoss=trainer.evaluate()["eval_loss"])


main()
