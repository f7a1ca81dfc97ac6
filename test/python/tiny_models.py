"""tiny_models.py FOLDER: a tiny seeded checkpoint of every architecture, and what transformers makes of it.

Writes FOLDER/WEIGHTS.safetensors (bfloat16) for each kind of weights, and FOLDER/reference.json: for each case its
config.json as a checkpoint would have it, the log-probability of every token of two answers to one prompt, computed as
TRL does (one padded batch), and the gradient of the first answer's mean cross-entropy, each weight's as its norm and
its product with two fixed directions. Run it with the packages of requirements.txt:
PYTHONPATH=... python3 test/python/tiny_models.py test/golden/models
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

folder = Path(sys.argv[1])
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(20)
ids = torch.randint(3, 96, (53,), generator=generator).tolist()
prompt, chosen, rejected = ids[:20], ids[20:44], ids[44:]

shared = {"vocab_size": 96, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
decoder = {
    **shared,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
}
llama = {
    "model_type": "llama",
    **decoder,
    "head_dim": 16,
    "attention_bias": True,
    "mlp_bias": True,
    "tie_word_embeddings": False,
}
longrope = {
    "short_factor": [1.0, 1.05, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6],
    "long_factor": [1.1, 1.3, 1.7, 2.2, 3.0, 4.5, 6.0, 8.0],
}
qwen = {**decoder, "tie_word_embeddings": True, "rope_theta": 1000000.0}
windowed = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}
qwen2 = {"model_type": "qwen2", **qwen}
qwen3 = {"model_type": "qwen3", **qwen, "head_dim": 16, "attention_bias": False, "rms_norm_eps": 1e-6}
smollm3 = {
    "model_type": "smollm3",
    **decoder,
    "num_hidden_layers": 4,
    "use_sliding_window": True,
    "sliding_window": 8,
    "attention_bias": False,
    "mlp_bias": False,
}
mistral = {"model_type": "mistral", **decoder, "rope_theta": 10000.0, "tie_word_embeddings": False}
phi3 = {
    "model_type": "phi3",
    **decoder,
    "original_max_position_embeddings": 16,
    "partial_rotary_factor": 0.5,
    "rope_theta": 10000.0,
    "sliding_window": None,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "tie_word_embeddings": False,
}
phi3_factors = {"short_factor": [1.1, 1.4], "long_factor": [1.5, 4.0]}
gemma3 = {
    "model_type": "gemma3_text",
    **{key: value for key, value in decoder.items() if key != "hidden_act"},
    "hidden_activation": "gelu_pytorch_tanh",
    "num_hidden_layers": 3,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "query_pre_attn_scalar": 24,
    "sliding_window": 8,
    "attention_bias": False,
    "attn_logit_softcapping": None,
    "final_logit_softcapping": None,
}
gpt2 = {
    "model_type": "gpt2",
    **shared,
    "n_positions": 44,
    "n_ctx": 44,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "attn_pdrop": 0.1,
    "resid_pdrop": 0.1,
    "embd_pdrop": 0.1,
}

# Name of the case -> whose weights, config.json. The first case of a kind of weights makes them.
cases = {
    "llama": ("llama", llama),
    "llama, llama3 rope": (
        "llama",
        {
            **llama,
            "rope_theta": 100.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        },
    ),
    "llama, linear rope, old form": ("llama", {**llama, "rope_scaling": {"type": "linear", "factor": 4.0}}),
    "llama, linear rope, new form": (
        "llama",
        {**llama, "rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 5000.0}},
    ),
    "llama, dynamic rope": (
        "llama",
        {**llama, "max_position_embeddings": 24, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
    ),
    "llama, dynamic rope, just short enough": (
        "llama",
        {**llama, "max_position_embeddings": 44, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
    ),
    "llama, dynamic rope, short": ("llama", {**llama, "rope_scaling": {"type": "dynamic", "factor": 2.0}}),
    "llama, yarn rope, old form": (
        "llama",
        {
            **llama,
            "rope_theta": 1000.0,
            "max_position_embeddings": 16384,
            "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096},
        },
    ),
    "llama, yarn rope, new form": (
        "llama",
        {
            **llama,
            "rope_parameters": {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 16,
                "rope_theta": 100.0,
                "beta_fast": 2.0,
                "beta_slow": 0.5,
                "mscale": 0.7,
                "mscale_all_dim": 1.2,
                "truncate": False,
            },
        },
    ),
    "llama, longrope": (
        "llama",
        {
            **llama,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "original_max_position_embeddings": 16,
                "factor": 4.0,
                **longrope,
            },
        },
    ),
    "llama, longrope, just short enough": (
        "llama",
        {
            **llama,
            "rope_scaling": {
                "rope_type": "longrope",
                "original_max_position_embeddings": 44,
                "attention_factor": 1.2,
                **longrope,
            },
        },
    ),
    "qwen2, window from layer 1": ("qwen2", {**qwen2, **windowed}),
    "qwen2, window unused": ("qwen2", {**qwen2, **windowed, "use_sliding_window": False}),
    "qwen2, layer types": (
        "qwen2",
        {**qwen2, **windowed, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "qwen2, yarn rope": (
        "qwen2",
        {**qwen2, "rope_scaling": {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32}},
    ),
    "qwen3": ("qwen3", qwen3),
    "qwen3, window from layer 1": ("qwen3", {**qwen3, **windowed}),
    "gpt2": ("gpt2", gpt2),
    "smollm3, window where it does not rotate": ("smollm3", {**smollm3, "no_rope_layer_interval": 2}),
    "smollm3, no window": (
        "smollm3",
        {**smollm3, "use_sliding_window": False, "sliding_window": None, "rope_theta": 5000000.0},
    ),
    "smollm3, layers named": (
        "smollm3",
        {
            **smollm3,
            "no_rope_layers": [1, 0, 1, 0],
            "layer_types": ["full_attention", "full_attention", "sliding_attention", "sliding_attention"],
            "rope_parameters": {"rope_type": "default", "rope_theta": 50000.0},
        },
    ),
    "mistral": ("mistral", {**mistral, "sliding_window": 8}),
    "mistral, no window": ("mistral", {**mistral, "sliding_window": None, "head_dim": 8}),
    "mistral, default window": ("mistral", mistral),
    "phi3, longrope": ("phi3", {**phi3, "rope_scaling": {"type": "longrope", **phi3_factors}}),
    "phi3, longrope as su, just short enough": (
        "phi3",
        {
            **phi3,
            "original_max_position_embeddings": 44,
            "rope_scaling": {"type": "su", "original_max_position_embeddings": 44, **phi3_factors},
        },
    ),
    "phi3, longrope as yarn, window": (
        "phi3",
        {**phi3, "sliding_window": 8, "rope_scaling": {"type": "yarn", **phi3_factors}},
    ),
    "phi3, default rope": (
        "phi3",
        {
            **{key: value for key, value in phi3.items() if not key.startswith(("rope", "partial"))},
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
        },
    ),
    "gemma3_text, old form": (
        "gemma3_text",
        {
            **gemma3,
            "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
            "sliding_window_pattern": 3,
        },
    ),
    "gemma3_text, nested form": (
        "gemma3_text",
        {
            **gemma3,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 50000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
            },
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
    "gemma3_text, defaults": (
        "gemma3_text",
        {key: value for key, value in gemma3.items() if key not in ("sliding_window", "query_pre_attn_scalar")},
    ),
}


def make_weights(config_folder, name):
    """Values far from their usual start, so that every part of the model weighs in the logits."""
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(config_folder), dtype=torch.float32)
    # Gemma's norms keep the distance from one.
    centre = 0.0 if name == "gemma3_text" else 1.0
    with torch.no_grad():
        for key, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            is_norm = weight.dim() == 1 and key.endswith("weight")
            weight.copy_(centre + 0.1 * noise if is_norm else 0.15 * noise)
    model.to(torch.bfloat16).save_pretrained(config_folder)
    shutil.copy(Path(config_folder) / "model.safetensors", folder / f"{name}.safetensors")


def digits(values):
    return [float(f"{value:.8g}") for value in values]


def log_probs(model):
    """Of the tokens of both answers, in one batch padded on the right."""
    rows = [prompt + chosen, prompt + rejected]
    longest = max(map(len, rows))
    batch = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    with torch.no_grad():
        logits = model(input_ids=batch, attention_mask=mask, use_cache=False).logits
    every = torch.log_softmax(logits[:, :-1].double(), -1).gather(2, batch[:, 1:, None])[..., 0]
    return [digits(every[i, len(prompt) - 1 : len(row) - 1].tolist()) for i, row in enumerate(rows)]


def sketch(gradient):
    flat = gradient.double().flatten()
    at = torch.arange(len(flat), dtype=torch.float64)
    return digits([flat.norm(), flat @ torch.sin(at + 1), flat @ torch.cos(2 * at + 1)])


def gradients(model):
    row = torch.tensor([prompt + chosen])
    labels = row.clone()
    labels[0, : len(prompt)] = -100
    model.zero_grad()
    model(input_ids=row, labels=labels, use_cache=False).loss.backward()
    return {key: sketch(weight.grad) for key, weight in model.named_parameters()}


reference: dict = {"prompt": prompt, "chosen": chosen, "rejected": rejected, "cases": {}}
made = set()
folder.mkdir(parents=True, exist_ok=True)
for case, (weights, config) in cases.items():
    with tempfile.TemporaryDirectory() as checkpoint:
        if weights not in made:
            (Path(checkpoint) / "config.json").write_text(json.dumps(config))
            make_weights(checkpoint, weights)
            made.add(weights)
        shutil.copy(folder / f"{weights}.safetensors", Path(checkpoint) / "model.safetensors")
        (Path(checkpoint) / "config.json").write_text(json.dumps(config))
        model, loading = AutoModelForCausalLM.from_pretrained(
            checkpoint, dtype=torch.float32, output_loading_info=True
        )
        assert not any(loading.values()), (case, loading)
        model.eval()
        first, second = log_probs(model)
        reference["cases"][case] = {
            "weights": weights,
            "config": config,
            "chosen": first,
            "rejected": second,
            "gradients": gradients(model),
        }
lines = ",\n".join(f"{json.dumps(case)}: {json.dumps(known)}" for case, known in reference.pop("cases").items())
(folder / "reference.json").write_text(f'{json.dumps(reference)[:-1]}, "cases": {{\n{lines}\n}}}}\n')
