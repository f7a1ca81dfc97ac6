"""lora.py MODELS FOLDER: low-rank adapters on the tiny models of tiny_models.py, and what PEFT makes of them.

Writes FOLDER/CASE.safetensors, the adapter as PEFT saves it, and FOLDER/reference.json: for each case PEFT's
adapter_config.json, the settings and target layers, the log-probability of every token of the two answers with the adapter, and the gradient of the first
answer's mean cross-entropy by each of the adapter's weights (its norm and its product with two fixed directions).
Run it with the packages of requirements.txt:
PYTHONPATH=... python3 test/python/lora.py test/golden/models test/golden/lora
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

models, folder = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
known = json.loads((models / "reference.json").read_text())
prompt, chosen, rejected = known["prompt"], known["chosen"], known["rejected"]

cases = {
    "llama": ("llama", dict(r=4, lora_alpha=8, target_modules="all-linear")),
    "llama, two targets, rsLoRA": (
        "llama",
        dict(r=3, lora_alpha=6, target_modules=["q_proj", "down_proj"], use_rslora=True),
    ),
    "qwen3, DoRA": ("qwen3", dict(r=2, lora_alpha=4, target_modules="all-linear", use_dora=True)),
    "gpt2, one of two layers of a name": ("gpt2", dict(r=4, lora_alpha=8, target_modules=["attn.c_proj", "c_fc"])),
    "gpt2, DoRA": ("gpt2", dict(r=4, lora_alpha=2, target_modules="all-linear", use_dora=True)),
    "phi3": ("phi3, default rope", dict(r=2, lora_alpha=4, target_modules="all-linear")),
}


def digits(values):
    return [float(f"{float(value):.8g}") for value in values]


def log_probs(model, row):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row]), use_cache=False).logits[0, :-1].double()
    every = torch.log_softmax(logits, -1).gather(1, torch.tensor(row[1:])[:, None])[:, 0]
    return digits(every[len(prompt) - 1 :])


def sketch(gradient):
    flat = gradient.double().flatten()
    at = torch.arange(len(flat), dtype=torch.float64)
    return digits([flat.norm(), flat @ torch.sin(at + 1), flat @ torch.cos(2 * at + 1)])


def stored_name(name):
    name = name.replace(".default", "")
    return name[: -len(".weight")] if name.endswith("lora_magnitude_vector.weight") else name


def gradients(model):
    labels = torch.tensor([[-100] * len(prompt) + chosen])
    model.zero_grad()
    model(input_ids=torch.tensor([prompt + chosen]), labels=labels, use_cache=False).loss.backward()
    return {stored_name(key): sketch(weight.grad) for key, weight in model.named_parameters() if weight.requires_grad}


reference = {}
folder.mkdir(parents=True, exist_ok=True)
for index, (case, (of, settings)) in enumerate(cases.items()):
    weights = known["cases"][of]["weights"]
    with tempfile.TemporaryDirectory() as checkpoint:
        (Path(checkpoint) / "config.json").write_text(json.dumps(known["cases"][of]["config"]))
        shutil.copy(models / f"{weights}.safetensors", Path(checkpoint) / "model.safetensors")
        base = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
        fan = weights == "gpt2"
        config = LoraConfig(task_type="CAUSAL_LM", fan_in_fan_out=fan, **settings)
        torch.manual_seed(index)
        model = get_peft_model(base, config)
        generator = torch.Generator().manual_seed(index)
        with torch.no_grad():
            for key, weight in model.named_parameters():
                if "lora_B" in key:
                    weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
                if "lora_magnitude" in key:
                    weight.mul_(1 + 0.1 * torch.randn(weight.shape, generator=generator))
        model.eval()
        model.save_pretrained(checkpoint + "/adapter")
        shutil.copy(checkpoint + "/adapter/adapter_model.safetensors", folder / f"{index}.safetensors")
        targets = model.peft_config["default"].target_modules
        saved = json.loads(Path(checkpoint + "/adapter/adapter_config.json").read_text())
        reference[case] = {
            "of": of,
            "file": f"{index}.safetensors",
            "config": saved | {"base_model_name_or_path": of, "target_modules": sorted(targets)},
            "settings": {
                "rank": settings["r"],
                "alpha": settings["lora_alpha"],
                "targetModules": None if settings["target_modules"] == "all-linear" else sorted(targets),
                "useRslora": settings.get("use_rslora", False),
                "useDora": settings.get("use_dora", False),
            },
            "chosen": log_probs(model, prompt + chosen),
            "rejected": log_probs(model, prompt + rejected),
            "gradients": gradients(model),
        }
lines = ",\n".join(f"{json.dumps(case)}: {json.dumps(found)}" for case, found in reference.items())
(folder / "reference.json").write_text(f"{{\n{lines}\n}}\n")
