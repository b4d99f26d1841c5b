"""Compares the weights of two bundles, byte by byte.

usage: same_weights.py A.odyssey B.odyssey
"""

import json
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Inputs"))
import check_bundle  # noqa: E402


def tensors(path):
    data = check_bundle.read_frame(Path(path).read_bytes())["weights.safetensors"]
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return {
        name: (entry["dtype"], entry["shape"], data[8 + length :][slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }


first, second = map(tensors, sys.argv[1:])
if first.keys() != second.keys():
    sys.exit(f"only one of them has {sorted(first.keys() ^ second.keys())}")
for name, tensor in first.items():
    if tensor != second[name]:
        sys.exit(f"{name} differs")
print(f"{len(first)} tensors are equal")
