"""Makes inputs for matmul_172.mlir and checks its output, with the standard library.

usage: matmul_arrays.py make|check FOLDER
"""

import json
import random
import struct
import sys

M, N, K = 3, 172, 100


def half(value):
    return struct.unpack("<e", struct.pack("<e", value))[0]


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def write_npy(path, descr, shape, data):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)))
        file.write(header.encode() + data)


def read_npy(path):
    with open(path, "rb") as file:
        content = file.read()
    assert content[:8] == b"\x93NUMPY\x01\x00"
    (size,) = struct.unpack("<H", content[8:10])
    header = eval(content[10 : 10 + size])
    return header, content[10 + size :]


def arrays():
    rng = random.Random(11)
    x = [half(rng.gauss(0, 2)) for _ in range(M * K)]
    w = [rng.randrange(-8, 8) for _ in range(N * K)]
    scale = [single(rng.uniform(0.001, 0.02)) for _ in range(N)]
    return x, w, scale


def make(folder):
    x, w, scale = arrays()
    write_npy(f"{folder}/x.npy", "<f2", (M, K), struct.pack(f"<{M * K}e", *x))
    write_npy(f"{folder}/narrow.npy", "<f2", (M, K - 1), b"\0" * (2 * M * (K - 1)))
    header = json.dumps(
        {
            "w": {"dtype": "I8", "shape": [N, K], "data_offsets": [4 * N, 4 * N + N * K]},
            "w_scale": {"dtype": "F32", "shape": [N], "data_offsets": [0, 4 * N]},
        }
    ).encode()
    with open(f"{folder}/weights.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.write(struct.pack(f"<{N}f", *scale) + struct.pack(f"<{N * K}b", *w))


def check(folder):
    x, w, scale = arrays()
    header, data = read_npy(f"{folder}/y.npy")
    assert header["shape"] == (M, N) and header["descr"] == "<f2", header
    actual = struct.unpack(f"<{M * N}e", data)
    for m in range(M):
        row = x[m * K : (m + 1) * K]
        largest = max(abs(v) for v in row)
        factor = single(127 / largest)
        q = [max(-127, min(127, round(single(v * factor)))) for v in row]
        for n in range(N):
            total = sum(a * b for a, b in zip(q, w[n * K : (n + 1) * K]))
            value = single(single(16 * total * (scale[n] / 16)) * single(largest / 127))
            assert actual[m * N + n] == half(value), (m, n, actual[m * N + n], value)
    print(f"equal: {M} x {N}")


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](sys.argv[2])
