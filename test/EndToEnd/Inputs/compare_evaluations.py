"""Checks that two outputs of odyssey-eval --json have the same perplexity, in every digit.

usage: compare_evaluations.py A.json B.json

A compiled model and the reference have the same logits (docs/numerics.md, N25).
"""

import json
import sys

first, second = (json.load(open(path))["text"] for path in sys.argv[1:])
if first["scored_tokens"] == second["scored_tokens"] and first["loss"] == second["loss"]:
    print("perplexities agree")
else:
    print(f"perplexities differ: {first} and {second}")
