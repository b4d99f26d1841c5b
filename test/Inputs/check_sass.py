"""Checks the main loops of W4A8 and W8A8 products on the path wgmma in SASS.

usage: check_sass.py FILE.sass          (from nvdisasm -c)

The main loop of a kernel is the innermost loop with integer wgmma instructions
(IGMMA). In it, each word of 8 weights that comes from shared memory (LDS.128 has
four) is to cost three instructions, a shift and two ANDs with 0xF0F0F0F0; a word of 4
weights of 8 bits (kernels named matmul_w8a8) none. Nothing may be called, and no kernel
may use local memory. Prints, per kernel, the IGMMA shape and their number, the words,
the ANDs and the shifts of its loop.
"""

import re
import sys

INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)\s*([^;]*);")
LABEL = re.compile(r"^(\.L_x_\d+):")
SECTION = re.compile(r"^\s*\.section\s+\.text\.(\w+)")
LOCAL = ("LDL", "STL")
MASK = "0xf0f0f0f0"


def kernels(lines):
    """Per kernel its code: (label or None, opcode, operands) in order."""
    code = {}
    current = None
    for line in lines:
        if match := SECTION.match(line):
            current = code.setdefault(match.group(1), [])
        elif current is None:
            continue
        elif match := LABEL.match(line):
            current.append((match.group(1), "", ""))
        elif match := INSTRUCTION.search(line):
            current.append((None, match.group(1), match.group(2)))
    return code


def main_loop(code):
    """The shortest span from a label to a branch back to it with an IGMMA."""
    places = {label: i for i, (label, _, _) in enumerate(code) if label}
    loops = []
    for end, (_, opcode, operands) in enumerate(code):
        target = re.search(r"\.L_x_\d+", operands)
        if opcode != "BRA" or not target:
            continue
        begin = places[target.group(0)]
        if begin < end and any(o.startswith("IGMMA") for _, o, _ in code[begin:end]):
            loops.append((end - begin, begin, end))
    if not loops:
        return None
    _, begin, end = min(loops)
    return [(o, operands) for label, o, operands in code[begin : end + 1] if not label]


def is_shift_by_4(opcode, operands):
    fields = [field.strip() for field in operands.split(",")]
    by_multiplication = opcode.startswith("IMAD.SHL") and fields[2] == "0x10"
    by_shift = opcode.startswith(("SHF.L", "SHL")) and fields[2] == "0x4"
    return by_multiplication or by_shift


def check(name, code):
    for _, opcode, _ in code:
        if opcode.startswith(LOCAL):
            sys.exit(f"{name}: {opcode} is local memory")
    if not any(opcode.startswith("IGMMA") for _, opcode, _ in code):
        return
    loop = main_loop(code)
    if not loop:
        sys.exit(f"{name}: no loop has an IGMMA")
    if any(opcode.startswith("CALL") for opcode, _ in loop):
        sys.exit(f"{name}: the main loop calls")
    shapes = {o for o, _ in loop if o.startswith("IGMMA")}
    products = sum(o.startswith("IGMMA") for o, _ in loop)
    words = 4 * sum(o == "LDS.128" for o, _ in loop)
    ands = sum(o.startswith("LOP3") and MASK in operands for o, operands in loop)
    shifts = sum(is_shift_by_4(o, operands) for o, operands in loop)
    if name.startswith("matmul_w8a8"):
        if ands:
            sys.exit(f"{name}: {ands} ANDs and {shifts} shifts for weights of 8 bits")
    elif ands + shifts != 3 * words:
        sys.exit(f"{name}: {ands} ANDs and {shifts} shifts for {words} words of 8 weights")
    print(
        f"{name}: {products} {' '.join(sorted(shapes))}, {words} words, "
        f"{ands} ANDs, {shifts} shifts"
    )


def main():
    with open(sys.argv[1]) as file:
        for name, code in kernels(file).items():
            check(name, code)


if __name__ == "__main__":
    main()
