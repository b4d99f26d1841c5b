"""Checks that two outputs of odyssey-eval --json have nearly the same perplexity.

usage: compare_evaluations.py A.json B.json

The kernels add in another order than the reference (docs/numerics.md), which tips over single 8-bit activations.
"""

import json
import sys

first, second = (json.load(open(path))["text"] for path in sys.argv[1:])
difference = abs(first["loss"] - second["loss"])
if first["scored_tokens"] == second["scored_tokens"] and difference < 0.005:
    print("perplexities agree")
else:
    print(f"perplexities differ: {first} and {second}")
