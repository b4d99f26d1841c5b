"""Checks that fp32 arithmetic in PTX is exactly what was written.

usage: check_rounding.py FILE.ptx

Every fp32 operation that rounds must name its rounding (.rn), so that ptxas does
not contract a multiplication and an addition; none may be approximate or flush
subnormals to zero; and nothing but the polynomial of exp may be a fused
multiply-add, so there is none in kernels without exp.
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(__file__))
import ptx

ROUNDING = {"add", "sub", "mul", "div", "sqrt", "fma", "rcp", "mad"}
APPROXIMATE = {"ex2", "lg2", "sin", "cos", "tanh", "rsqrt"}
WITH_EXP = re.compile(r"silu_mul|(decode_)?attention|matmul_\w+_silu(_|$)")


def main():
    checked = 0
    with open(sys.argv[1]) as file:
        for name, instructions in ptx.kernels(file.read()):
            for opcode, _ in instructions:
                parts = opcode.split(".")
                if parts[-1] not in ("f32", "f32x2"):
                    continue
                if parts[0] in APPROXIMATE or {"approx", "ftz", "full"} & set(parts):
                    sys.exit(f"{name}: {opcode} is approximate")
                if parts[0] in ROUNDING:
                    checked += 1
                    if "rn" not in parts:
                        sys.exit(f"{name}: {opcode} does not name its rounding")
                if parts[0] == "fma" and not WITH_EXP.match(name):
                    sys.exit(f"{name}: {opcode} where no exp is")
    print(f"{checked} operations round to nearest")


if __name__ == "__main__":
    main()
