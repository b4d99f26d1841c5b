"""Compares benchmarks/common.py with the compiler's shapes. usage: FOLDER ODYSSEY_COMPILE"""

import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import common  # noqa: E402

for model in common.MODELS:
    command = [sys.argv[2], model, "--weights=none", "--emit=mlir", "--max-context=64", "-o", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    compiled = set(re.findall(r"tensor<(\d+)x(\d+)xi4", done.stdout))
    expected = {(str(n), str(k)) for n, k in common.product_shapes(model)}
    assert compiled == expected, (model, compiled, expected)
    print(model, "agrees")

assert common.parse_shapes("64x128,64x128,192x64") == [(64, 128), (192, 64)]
assert common.percentile([0, 10, 20, 30, 40], 0.1) == 4
assert common.timing([3, 1, 2])["median"] == 2
assert common.rotating_copies(8 << 20, 50 << 20) == 50
assert common.rotating_copies(1 << 30, 50 << 20) == 2
print("statistics agree")
