"""Prints names, types and shapes of the tensors in a bundle."""

import json
import struct
import sys


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    (count,) = struct.unpack_from("<I", data, 12)
    for i in range(count):
        name, offset, _, _ = struct.unpack_from("<40sQQQ", data, 32 + 64 * i)
        if name.rstrip(b"\0") == b"weights.safetensors":
            (length,) = struct.unpack_from("<Q", data, offset)
            header = json.loads(data[offset + 8 : offset + 8 + length])
            for tensor, entry in header.items():
                print(f"{tensor}: {entry['dtype']} {entry['shape']}")


if __name__ == "__main__":
    main()
