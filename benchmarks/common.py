"""What the baselines that run in PyTorch share: shapes, timing, and the JSON of odyssey-bench.

Times are taken by events around replays of CUDA graphs (products) or of whole steps (models), as
odyssey-bench takes them: medians of many samples, with the 10th and the 90th percentile.
"""

import json
import os
import sys
import time

# name: hidden, layers, heads, KV heads, head dim, FFN, vocabulary, epsilon, rope theta, tied.
# The same shapes as lib/Frontend/ModelShapes.cpp.
MODELS = {
    "llama-2-7b": (4096, 32, 32, 32, 128, 11008, 32000, 1e-5, 1e4, False),
    "llama-2-13b": (5120, 40, 40, 40, 128, 13824, 32000, 1e-5, 1e4, False),
    "llama-2-70b": (8192, 80, 64, 8, 128, 28672, 32000, 1e-5, 1e4, False),
    "llama-3-8b": (4096, 32, 32, 8, 128, 14336, 128256, 1e-5, 5e5, False),
    "mistral-7b": (4096, 32, 32, 8, 128, 14336, 32768, 1e-5, 1e6, False),
    "smollm2-135m": (576, 30, 9, 3, 64, 1536, 49152, 1e-5, 1e5, True),
}


def product_shapes(name):
    """The four fused products of a layer as (N, K): Q/K/V, output, gate/up, down."""
    hidden, _, heads, kv_heads, head_dim, ffn = MODELS[name][:6]
    return [
        ((heads + 2 * kv_heads) * head_dim, hidden),
        (hidden, heads * head_dim),
        (2 * ffn, hidden),
        (hidden, ffn),
    ]


def parse_shapes(text):
    """(N, K) pairs from a list of model names and NxK."""
    shapes = []
    for part in text.split(","):
        if part in MODELS:
            shapes += product_shapes(part)
            continue
        try:
            n, k = (int(size) for size in part.split("x"))
        except ValueError:
            sys.exit(f"unknown shape '{part}', expected NxK or one of {', '.join(MODELS)}")
        shapes.append((n, k))
    return list(dict.fromkeys(shapes))


def percentile(samples, fraction):
    """By linear interpolation."""
    ordered = sorted(samples)
    position = fraction * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def timing(samples, launches=1):
    """The JSON of a measurement; `samples` are seconds of one launch."""
    return {
        "median": percentile(samples, 0.5),
        "p10": percentile(samples, 0.1),
        "p90": percentile(samples, 0.9),
        "launches": launches,
        "replays": len(samples),
    }


def require_gpu():
    """PyTorch with a GPU, or the end of the program with a message."""
    try:
        import torch
    except ImportError as error:
        sys.exit(f"PyTorch is needed: {error}")
    if not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU")
    return torch


def device_json(torch):
    properties = torch.cuda.get_device_properties(0)
    return {
        "kind": "cuda",
        "name": properties.name,
        "compute_capability": properties.major * 10 + properties.minor,
        "multiprocessors": properties.multi_processor_count,
        "memory_bytes": properties.total_memory,
        "cache_bytes": properties.L2_cache_size,
    }


def time_rotation(torch, launches, seconds, min_replays=5):
    """Times calls that use their buffers in turn: a graph of `launches` (one round), replayed."""
    for launch in launches:
        launch()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for launch in launches:
            launch()

    def replay(count):
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
        # The first replay is not measured: it keeps the GPU busy until the host is ahead.
        for mark in marks:
            graph.replay()
            mark.record()
        torch.cuda.synchronize()
        return [a.elapsed_time(b) * 1e-3 / len(launches) for a, b in zip(marks, marks[1:])]

    first = replay(1)[0] * len(launches)
    count = max(min_replays, min(1000, int(seconds / first)))
    return timing(replay(count), len(launches))


def rotating_copies(nbytes, cache_bytes):
    """As odyssey-bench: buffers of eight times the cache, at least two."""
    return max(2, min(2000, -(-8 * cache_bytes // nbytes)))


def process_seconds():
    """Seconds since this process was started (Linux)."""
    with open("/proc/self/stat", encoding="ascii") as file:
        started = int(file.read().rpartition(")")[2].split()[19])
    with open("/proc/uptime", encoding="ascii") as file:
        uptime = float(file.read().split()[0])
    return uptime - started / os.sysconf("SC_CLK_TCK")


def write_json(document, path):
    text = json.dumps(document, indent=2) + "\n"
    if path:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)


class Deadline:
    """Time left of a limit in seconds; none for 0."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds if seconds else None

    def passed(self):
        return self.end is not None and time.monotonic() > self.end
