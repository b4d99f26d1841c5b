"""Counts what unpacking weights costs in the PTX of W4A8 and W8A8 products.

usage: check_unpacking.py FILE.ptx

Without groups, every A operand of mma.m16n8k32 must be four results of ANDs with
0xF0F0F0F0, two from each of two words: one AND of the word itself, one of the word
shifted left by 4, and nothing else. Prints, per kernel, the words of 8 weights that
are unpacked and the instructions that this takes.

With groups, every register of an A operand must be the exclusive or with 0x80808080
of one mad of a masked word, the word itself or that word shifted right by 4, a
multiplier and that multiplier's addend. Prints the same, and the number of addends,
each of which is one more mad.

With weights of 8 bits (kernels named matmul_w8a8), the four registers of an A operand
must be those of one 16-byte load from shared memory, in order, moved at most.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
import ptx

MASKS = {"-252645136", "0xF0F0F0F0", "4042322160"}
LOW_MASK, SIGNS, EIGHTS = "252645135", "-2139062144", "-134744072"
MMA = "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32"


def fragments_of(instructions):
    """The A operands of all products."""
    return {
        tuple(ptx.registers(operands[1]))
        for opcode, operands in instructions
        if opcode == MMA
    }


def sources(instructions, opcode, *constants):
    """Of each result of `opcode` whose last operands are `constants`, the rest."""
    return {
        operands[0]: operands[1 : len(operands) - len(constants)]
        for name, operands in instructions
        if name == opcode and tuple(operands[len(operands) - len(constants) :]) == constants
    }


def check(name, instructions, fragments):
    masked = {}
    for mask in MASKS:
        masked.update(sources(instructions, "and.b32", mask))
    shifted = sources(instructions, "shl.b32", "4")
    words, shifts = set(), set()
    for fragment in fragments:
        for register in fragment:
            if register not in masked:
                sys.exit(f"{name}: {register} of an A operand is no masked word")
        for plain, moved in (fragment[:2], fragment[2:]):
            [word] = masked[plain]
            [source] = masked[moved]
            if shifted.get(source) != [word]:
                sys.exit(f"{name}: {plain} and {moved} come from different words")
            words.add(word)
            shifts.add(source)
    print(
        f"{name}: {len(words)} words, {len(masked)} ANDs, {len(shifts)} shifts, "
        f"{len(fragments)} A fragments"
    )


def check_groups(name, instructions, fragments):
    flipped = sources(instructions, "xor.b32", SIGNS)
    masked = sources(instructions, "and.b32", LOW_MASK)
    shifted = sources(instructions, "shr.u32", "4")
    products = sources(instructions, "mad.lo.s32")
    addends = sources(instructions, "mad.lo.s32", EIGHTS, SIGNS)
    words, used = set(), {"shifts": set(), "mads": set(), "addends": set()}

    def word_of(register):
        """The word that a register is made from, shifted or not."""
        if register not in flipped:
            sys.exit(f"{name}: {register} of an A operand has no flipped signs")
        [product] = flipped[register]
        if product not in products:
            sys.exit(f"{name}: {register} is no multiplication with an addition")
        *factors, addend = products[product]
        nibbles, multiplier = sorted(factors, key=lambda f: f not in masked)
        if nibbles not in masked:
            sys.exit(f"{name}: {product} multiplies no masked word")
        if addends.get(addend) != [multiplier]:
            sys.exit(f"{name}: {addend} is not the addend of {multiplier}")
        used["mads"].add(product)
        used["addends"].add(addend)
        return masked[nibbles][0]

    for fragment in fragments:
        for high, low in (fragment[:2], fragment[2:]):
            word, moved = word_of(low), word_of(high)
            if shifted.get(moved) != [word]:
                sys.exit(f"{name}: {high} and {low} come from different words")
            words.add(word)
            used["shifts"].add(moved)
    print(
        f"{name}: {len(words)} words, {len(masked)} ANDs, {len(used['shifts'])} shifts, "
        f"{len(used['mads'])} mads, {len(flipped)} XORs, "
        f"{len(used['addends'])} addends, {len(fragments)} A fragments"
    )


def check_bytes(name, instructions, fragments):
    loads, moves = {}, {}
    for opcode, operands in instructions:
        if opcode == "ld.shared.v4.b32":
            loaded = tuple(ptx.registers(operands[0]))
            loads.update({register: (loaded, i) for i, register in enumerate(loaded)})
        elif opcode.startswith("mov"):
            moves.setdefault(operands[0], []).append(operands[1])

    def origins(register, seen):
        """The loads that a register's value may come from, and its place in them."""
        if register in loads:
            return {loads[register]}
        if register in seen:
            return set()
        if register not in moves:
            sys.exit(f"{name}: {register} of an A operand is not loaded from shared memory")
        return set().union(*(origins(r, seen | {register}) for r in moves[register]))

    used = set()
    for fragment in fragments:
        found = [origins(register, frozenset()) for register in fragment]
        for place, ofRegister in enumerate(found):
            if {i for _, i in ofRegister} != {place}:
                sys.exit(f"{name}: {fragment[place]} of an A operand is out of place")
            if {load for load, _ in ofRegister} != {load for load, _ in found[0]}:
                sys.exit(f"{name}: {fragment} comes from several loads")
        used |= {load for load, _ in found[0]}
    print(f"{name}: {len(used)} loads, {len(fragments)} A fragments as loaded")


def main():
    with open(sys.argv[1]) as file:
        for name, instructions in ptx.kernels(file.read()):
            instructions = list(instructions)
            fragments = fragments_of(instructions)
            if not fragments:
                continue
            if name.startswith("matmul_w8a8"):
                check_bytes(name, instructions, fragments)
                continue
            groups = sources(instructions, "mad.lo.s32", EIGHTS, SIGNS)
            (check_groups if groups else check)(name, instructions, fragments)


if __name__ == "__main__":
    main()
