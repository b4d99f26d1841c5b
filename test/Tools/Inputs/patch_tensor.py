"""Overwrites one byte of a tensor in a safetensors file.

usage: patch_tensor.py FILE TENSOR INDEX VALUE
"""

import json
import struct
import sys


def main():
    path, tensor, index, value = sys.argv[1:]
    with open(path, "r+b") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        begin, _ = json.loads(file.read(length))[tensor]["data_offsets"]
        file.seek(8 + length + begin + int(index))
        file.write(struct.pack("b", int(value)))


if __name__ == "__main__":
    main()
