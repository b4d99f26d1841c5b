"""Runs odyssey-quantize on damaged copies of a GGUF file.

usage: truncations.py FILE.gguf FOLDER

Prints each copy's exit code and message, and how many left something behind.
"""

import os
import struct
import subprocess
import sys


def copies(data):
    for size in (0, 3, 4, 20, 100, 1000, 10000, len(data) // 2):
        yield f"truncated at {size}", data[:size]
    yield "truncated one byte early", data[:-1]
    yield "with another magic number", b"GGML" + data[4:]
    yield "with version 9", data[:4] + struct.pack("<I", 9) + data[8:]
    yield "with 2^60 tensors", data[:8] + struct.pack("<Q", 1 << 60) + data[16:]
    yield "with 2^60 keys", data[:16] + struct.pack("<Q", 1 << 60) + data[24:]


def main():
    path, folder = sys.argv[1:]
    os.makedirs(folder)
    with open(path, "rb") as file:
        data = file.read()
    left = 0
    for what, content in copies(data):
        damaged, output = os.path.join(folder, "in.gguf"), os.path.join(folder, "out")
        with open(damaged, "wb") as file:
            file.write(content)
        run = subprocess.run(
            ["odyssey-quantize", damaged, "-o", output], capture_output=True, text=True
        )
        print(f"{what}: exit {run.returncode}: {run.stderr.strip()}")
        if run.returncode != 1 or "error: " not in run.stderr:
            sys.exit(f"{what}: expected an error")
        left += os.listdir(folder) != ["in.gguf"]
    print(f"{left} left anything")


if __name__ == "__main__":
    main()
