"""optimizers.py > test/golden/torch/optimizers.json: steps of torch's, transformers' and lion-pytorch's optimizers, and
learning rates of transformers' schedulers, as the numbers that ours are compared with.

    python3 -m pip install --no-deps --target LION lion-pytorch==0.2.5
    PYTHONPATH=PACKAGES:LION python3 test/python/optimizers.py > test/golden/torch/optimizers.json

PACKAGES is the folder that test/python/install.ts makes. In float64, from weights and gradients that float32 holds.
"""

import json
import math

import torch
import transformers
from lion_pytorch import Lion
from transformers import Adafactor, get_scheduler

# Gradients of very different sizes, up and down: an optimizer that ignores the size of one is found out.
SIZES = [1e-3, 10.0, 1e-2, 1.0, 100.0, 0.1]
SHAPES = {"matrix": [5, 3], "bias": [4]}
RATES = [0.0, 0.01, 0.02, 0.015, 0.01, 0.005]

# Our names of the settings -> what Trainer makes of them under the optimizer's name (trainer_optimizer.py).
CASES = [
    ("adamw", {"weightDecay": 0.1}),
    ("adamw", {"betas": [0.8, 0.95], "epsilon": 1e-3, "weightDecay": 0.0}),
    ("adafactor", {"weightDecay": 0.1}),
    ("adafactor", {"weightDecay": 0.0}),
    ("lion", {"weightDecay": 0.1}),
    ("lion", {"betas": [0.9, 0.99], "weightDecay": 0.0}),
    ("rmsprop", {"weightDecay": 0.1}),
    ("rmsprop", {"weightDecay": 0.1, "momentum": 0.9, "rmspropAlpha": 0.9, "epsilon": 1e-3}),
    ("sgd", {"weightDecay": 0.1}),
    ("sgd", {"weightDecay": 0.1, "momentum": 0.9}),
]
SCHEDULES = [
    ("linear", {"warmup": 0.13}),
    ("linear", {"warmup": 0.0}),
    ("cosine", {"warmup": 0.13}),
    ("constant", {"warmup": 0.0}),
    ("constant_with_warmup", {"warmup": 0.3}),
    ("cosine_with_min_lr", {"warmup": 0.2, "minLrRate": 0.1}),
]


def optimizer_of(name, settings, groups):
    betas = tuple(settings.get("betas", (0.9, 0.999)))
    eps = settings.get("epsilon", 1e-8)
    momentum = settings.get("momentum", 0.0)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=1.0, betas=betas, eps=eps)
    if name == "adafactor":
        return Adafactor(groups, lr=1.0, scale_parameter=False, relative_step=False)
    if name == "lion":
        return Lion(groups, lr=1.0, betas=betas)
    if name == "rmsprop":
        return torch.optim.RMSprop(groups, lr=1.0, alpha=settings.get("rmspropAlpha", 0.99), eps=eps, momentum=momentum)
    return torch.optim.SGD(groups, lr=1.0, momentum=momentum)


def float32(values):
    return values.to(torch.float32).to(torch.float64)


def run(name, settings):
    generator = torch.Generator().manual_seed(7)
    draw = lambda shape, scale: float32(scale * torch.randn(shape, generator=generator, dtype=torch.float64))
    weights = {weight: torch.nn.Parameter(draw(shape, 0.5)) for weight, shape in SHAPES.items()}
    start = {weight: value.detach().flatten().tolist() for weight, value in weights.items()}
    # As Trainer.create_optimizer: weight decay on what is neither norm nor bias.
    groups = [
        {"params": [weights["matrix"]], "weight_decay": settings["weightDecay"]},
        {"params": [weights["bias"]], "weight_decay": 0.0},
    ]
    optimizer = optimizer_of(name, settings, groups)
    steps = []
    for step, size in enumerate(SIZES):
        gradients = {weight: draw(shape, size) for weight, shape in SHAPES.items()}
        for weight, value in weights.items():
            value.grad = gradients[weight]
        for group in optimizer.param_groups:
            group["lr"] = RATES[step]
        optimizer.step()
        steps.append({
            "learningRate": RATES[step],
            "gradients": {weight: value.flatten().tolist() for weight, value in gradients.items()},
            "weights": {weight: value.detach().flatten().tolist() for weight, value in weights.items()},
        })
    return {"optimizer": name, "settings": settings, "start": start, "steps": steps}


def schedule(name, settings, total=20, peak=1e-3):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    more = {"min_lr_rate": settings["minLrRate"]} if "minLrRate" in settings else None
    warmup_steps = math.ceil(total * settings["warmup"])  # TrainingArguments.get_warmup_steps
    scheduler = get_scheduler(name, optimizer, warmup_steps, total, scheduler_specific_kwargs=more)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return {"schedule": name, "settings": settings, "peak": peak, "rates": rates}


print(json.dumps({
    "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    "shapes": SHAPES,
    "optimizers": [run(*case) for case in CASES],
    "schedules": [schedule(*case) for case in SCHEDULES],
}, indent=None))
