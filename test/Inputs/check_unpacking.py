"""Counts what unpacking 4-bit weights costs in the PTX of W4A8 products.

usage: check_unpacking.py FILE.ptx

Every A operand of mma.m16n8k32 must be four results of ANDs with 0xF0F0F0F0, two
from each of two words: one AND of the word itself, one of the word shifted left by
4, and nothing else. Prints, per kernel, the words of 8 weights that are unpacked
and the instructions that this takes.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
import ptx

MASKS = {"-252645136", "0xF0F0F0F0", "4042322160"}
MMA = "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32"


def check(name, instructions):
    masked, shifted, fragments = {}, {}, set()
    for opcode, operands in instructions:
        if opcode == "and.b32" and operands[2] in MASKS:
            masked[operands[0]] = operands[1]
        elif opcode == "shl.b32" and operands[2] == "4":
            shifted[operands[0]] = operands[1]
        elif opcode == MMA:
            fragments.add(tuple(ptx.registers(operands[1])))
    if not fragments:
        return
    words, shifts = set(), set()
    for fragment in fragments:
        for register in fragment:
            if register not in masked:
                sys.exit(f"{name}: {register} of an A operand is no masked word")
        for plain, moved in (fragment[:2], fragment[2:]):
            word = masked[plain]
            if shifted.get(masked[moved]) != word:
                sys.exit(f"{name}: {plain} and {moved} come from different words")
            words.add(word)
            shifts.add(masked[moved])
    print(
        f"{name}: {len(words)} words, {len(masked)} ANDs, {len(shifts)} shifts, "
        f"{len(fragments)} A fragments"
    )


def main():
    with open(sys.argv[1]) as file:
        for name, instructions in ptx.kernels(file.read()):
            check(name, instructions)


if __name__ == "__main__":
    main()
