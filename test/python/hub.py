"""hub.py PUSHED FOLDER THEIRS: opens org/name@branch, which the trainer has pushed, with transformers, from the Hub that HF_ENDPOINT
names; and lets huggingface_hub itself push FOLDER to THEIRS there and fetch it again. Prints what it found, as JSON."""

import hashlib
import json
import os
import sys

import torch
from huggingface_hub import HfApi, snapshot_download
from transformers import AutoModelForCausalLM, AutoTokenizer

pushed, folder, theirs = sys.argv[1:]


def logits(name, **where):
    model, loading = AutoModelForCausalLM.from_pretrained(name, output_loading_info=True, **where)
    ids = AutoTokenizer.from_pretrained(name, **where)("Which way is north?", return_tensors="pt").input_ids
    with torch.no_grad():
        return model(ids).logits[0].tolist(), {key: sorted(map(str, found)) for key, found in loading.items() if found}


def digests(at):
    names = [name for name in sorted(os.listdir(at)) if not name.startswith(".")]
    return {name: hashlib.sha256(open(os.path.join(at, name), "rb").read()).hexdigest() for name in names}


repository, branch = pushed.split("@")
there, problems = logits(repository, revision=branch)
api = HfApi()
api.create_repo(theirs, private=True)
api.create_branch(theirs, branch="copy")
api.upload_folder(repo_id=theirs, folder_path=folder, revision="copy")
fetched = snapshot_download(theirs, revision="copy")
same = logits(folder)[0] == there
print(json.dumps({"problems": problems, "same": same, "fetched": digests(fetched), "local": digests(folder)}))
