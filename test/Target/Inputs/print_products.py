"""Prints what a bundle's plan says of its products.

usage: print_products.py BUNDLE

A line for each kernel that is a product, and one for each step that launches one that
reads 8-bit activations: where these and their scales begin in the workspace, and its grid.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Inputs"))
import check_bundle  # noqa: E402

sections = check_bundle.read_frame(Path(sys.argv[1]).read_bytes())
plan = json.loads(sections["plan.json"])
for kernel in plan["kernels"]:
    if product := kernel.get("product"):
        print(
            f"{kernel['name']}: block {kernel['block'][0]}, "
            f"cluster {kernel.get('cluster')}, shared {kernel['shared_bytes']}, "
            f"swizzled_tokens {product.get('swizzled_tokens')}, "
            f"panel_channels {product['panel_channels']}, weight_bits {product['weight_bits']}, "
            f"prologue {product.get('prologue')}"
        )
for function in plan["functions"]:
    for bucket in function["buckets"]:
        for step in bucket["steps"]:
            product = plan["kernels"][step["kernel"]].get("product")
            if product and "prologue" not in product:
                x, scales = (a.get("workspace") for a in step["arguments"][:2])
                print(
                    f"tokens {bucket['tokens']}: activations at {x}, "
                    f"scales at {scales}, grid {step['grid']}"
                )
