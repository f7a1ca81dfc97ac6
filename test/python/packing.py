"""packing.py > test/golden/trl/packing.json: blocks that TRL's packing strategy "bfd" makes of examples of some lengths.

    python3 -m pip install --no-deps --target TRL trl==1.16.0 pyarrow==26.0.1
    PYTHONPATH=PACKAGES:TRL python3 test/python/packing.py > test/golden/trl/packing.json

PACKAGES is the folder that test/python/install.ts makes. TRL's functions are taken out of their file, so that nothing else
of its dependencies is needed. Which of two examples of one length is where is left open: blocks are lists of lengths.
"""

import ast
import importlib.util
import json
import random
from collections import defaultdict, deque
from typing import Literal

import numpy as np
import pyarrow
import pyarrow as pa
import pyarrow.compute as pc

folder = importlib.util.find_spec("trl").submodule_search_locations[0]
tree = ast.parse(open(f"{folder}/data_utils.py").read())
wanted = {"_SegmentTree", "_pack_bfd", "_check_if_columns_can_be_packed"}
tree.body = [node for node in tree.body if getattr(node, "name", None) in wanted]
scope = {"pyarrow": pyarrow, "np": np, "pa": pa, "pc": pc, "defaultdict": defaultdict, "deque": deque, "Literal": Literal}
exec(compile(tree, "data_utils.py", "exec"), scope)


def blocks(lengths, capacity):
    table = pa.table({"input_ids": pa.array([[0] * length for length in lengths])})
    packed = scope["_pack_bfd"](table, capacity)
    return sorted(sorted(block) for block in packed["seq_lengths"].to_pylist())


def case(seed, count, capacity):
    generator = random.Random(seed)
    lengths = [generator.randint(1, capacity) if generator.random() < 0.3 else generator.randint(1, 1 + capacity // 4) for _ in range(count)]
    return {"capacity": capacity, "lengths": lengths, "blocks": blocks(lengths, capacity)}


print(json.dumps([case(1, 12, 16), case(2, 60, 100), case(3, 200, 1024), case(4, 80, 7), case(5, 1, 64)]))
