"""Reads PTX text as LLVM prints it.

`kernels(text)` yields (name, instructions); an instruction is (opcode, operands),
without its guard predicate; braces and brackets of operands are kept.
"""

import re

ENTRY = re.compile(r"\.entry\s+([\w$]+)")
LABEL = re.compile(r"^\s*\$\w+:\s*")
INSTRUCTION = re.compile(r"^(?:@!?%p\d+\s+)?([a-z][\w.:]*)\s*(.*)$", re.DOTALL)


def operands(text):
    """Splits at commas outside of braces and brackets."""
    parts, depth, current = [], 0, ""
    for character in text:
        depth += character in "{["
        depth -= character in "}]"
        if character == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += character
    if current.strip():
        parts.append(current.strip())
    return parts


def registers(operand):
    """The registers of an operand such as "{%r1, %r2}"."""
    return re.findall(r"%\w+", operand)


def kernels(text):
    text = re.sub(r"//[^\n]*", "", text)
    bodies = re.split(ENTRY, text)[1:]
    for name, body in zip(bodies[::2], bodies[1::2]):
        instructions = []
        for statement in body[body.index("{") + 1 :].split(";"):
            statement = LABEL.sub("", statement.strip()).strip()
            if match := INSTRUCTION.match(statement):
                instructions.append((match.group(1), operands(match.group(2))))
        yield name, instructions
