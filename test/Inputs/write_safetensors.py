"""Writes a small safetensors file.

usage: write_safetensors.py FILE NAME:TYPE:SHAPE=VALUES ...

TYPE is I8, I32, F16 or F32, SHAPE is sizes joined by x. VALUES are joined by commas
and repeated to fill the tensor:

    write_safetensors.py w.safetensors w:I8:64x64=-8,7,0 w_scale:F32:64=0.5
"""

import json
import struct
import sys

FORMATS = {"I8": "b", "I32": "i", "F16": "e", "F32": "f"}


def main():
    header, data = {}, b""
    for tensor in sys.argv[2:]:
        description, values = tensor.split("=")
        name, kind, shape = description.split(":")
        shape = [int(size) for size in shape.split("x")]
        count = 1
        for size in shape:
            count *= size
        parse = int if kind.startswith("I") else float
        pattern = [parse(value) for value in values.split(",")]
        filled = [pattern[i % len(pattern)] for i in range(count)]
        begin = len(data)
        data += struct.pack(f"<{count}{FORMATS[kind]}", *filled)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(sys.argv[1], "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    main()
