"""Checks a bundle against docs/bundle.md and prints what is in it.

usage: check_bundle.py BUNDLE

The frame: magic, version, sizes, sections inside the file at multiples of 4096, in
order, without overlap, zeros between them. The plan: every index is inside its
table, every kernel is a module of its own and all of its PTX, buckets ascend,
arguments of each step lie inside the workspace, weights of the plan are the tensors
of weights.safetensors. (Hashes are checked by the runtime's own tests.)
"""

import json
import re
import struct
import sys

PAGE = 4096
TYPES = {"i8": 1, "u8": 1, "i32": 4, "f16": 2, "bf16": 2, "f32": 4}
KINDS = {
    "matmul", "attention", "norm", "rope", "activation", "embedding", "add",
    "lm_head", "sample", "quantize",
}


def require(condition, message):
    if not condition:
        sys.exit(f"check_bundle: {message}")


def read_frame(data):
    magic, version, count, size, _ = struct.unpack_from("<8sIIQQ", data)
    require(magic == b"ODYSSEY\0", f"magic {magic}")
    require(version == 1, f"version {version}")
    require(size == len(data), f"header says {size} bytes, the file has {len(data)}")
    sections, end = {}, 32 + 64 * count
    for i in range(count):
        name, offset, length, _ = struct.unpack_from("<40sQQQ", data, 32 + 64 * i)
        name = name.rstrip(b"\0").decode()
        require(offset % PAGE == 0, f"section {name} begins at {offset}")
        require(offset >= end, f"section {name} overlaps what is before it")
        require(not any(data[end:offset]), f"the gap before {name} is not zero")
        end = offset + length
        require(end <= size, f"section {name} leaves the file")
        require(name not in sections, f"section {name} appears twice")
        sections[name] = data[offset:end]
    require(not any(data[end:]), "the end of the file is not zero")
    return sections


def read_safetensors(data):
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    for name, tensor in header.items():
        begin, end = tensor["data_offsets"]
        require(8 + length + end <= len(data), f"tensor {name} leaves the section")
        require((8 + length + begin) % 256 == 0 or name.startswith("padding."),
                f"tensor {name} is not aligned")
    return header


def elements(shape, tokens):
    count = 1
    for size in shape:
        count *= tokens if size == "tokens" else size
    return count


def check_tensor(what, tensor):
    require(tensor["type"] in TYPES, f"{what} has type {tensor['type']}")
    for i, size in enumerate(tensor["shape"]):
        leading = i == 0 and size == "tokens"
        require(leading or (isinstance(size, int) and size > 0), f"shape of {what}")


def ctas(step, bucket):
    count = 1
    for a, d in step["grid"]:
        count *= a * -(-bucket["tokens"] // d) if d else a
    return count


def check_step(plan, function, bucket, step):
    require(0 <= step["kernel"] < len(plan["kernels"]), "a kernel's index")
    require(len(step["grid"]) == 3, "a grid has three dimensions")
    for a, d in step["grid"]:
        require(a >= 1 and d >= 0, "a grid's numbers")
    tables = {
        "weight": plan["weights"], "input": function["inputs"],
        "output": function["outputs"], "state": function["states"],
    }
    for argument in step["arguments"]:
        ((kind, value),) = argument.items()
        if kind in tables:
            require(0 <= value < len(tables[kind]), f"index {value} of {kind}")
        elif kind == "workspace":
            require(value % 256 == 0, f"workspace offset {value}")
            require(value < bucket["workspace_bytes"], f"workspace offset {value}")
        elif kind == "counters":
            require(value % 4 == 0, f"counters at {value}")
            require(value + 4 * ctas(step, bucket) <= bucket["counter_bytes"],
                    "every CTA has a counter")
        else:
            require(kind in ("tokens", "i32"), f"argument of kind {kind}")


def check_module(module, sections):
    """The names of the kernels in a module's PTX."""
    require(module["ptx"] in sections, "a module's PTX is no section")
    if "cubin" in module:
        require(module["cubin"] in sections, "a module's cubin is no section")
        require(sections[module["cubin"]].startswith(b"\x7fELF"), "a cubin is an ELF file")
    return re.findall(r"\.entry ([\w$]+)\(", sections[module["ptx"]].decode())


def check_plan(plan, sections):
    require(plan["format"] == 1, "format")
    modules = [check_module(module, sections) for module in plan["modules"]]
    code = {module[key] for module in plan["modules"]
            for key in ("ptx", "cubin") if key in module}
    require(code == {name for name in sections if name.startswith("kernel.")},
            "a section with code that is no module's")
    require(len(modules) == len(plan["kernels"]), "a module without kernel")
    for i, kernel in enumerate(plan["kernels"]):
        require(kernel["module"] == i, "a kernel is a module of its own")
        require(modules[i] == [kernel["name"]],
                f"the PTX of {kernel['name']} has the kernels {modules[i]}")
        require(kernel["kind"] in KINDS, f"kind {kernel['kind']}")
        require(kernel["block"][0] % 32 == 0, "a block is whole warps")
        require(kernel["shared_bytes"] <= 227 * 1024, "shared memory of a CTA")
    states = {state["name"] for state in plan["states"]}
    for tensor in plan["states"] + plan["weights"]:
        check_tensor(tensor["name"], tensor)
    used = set()
    for function in plan["functions"]:
        for tensor in function["inputs"] + function["outputs"]:
            check_tensor(tensor["name"], tensor)
        require(set(function["states"]) <= states, "a state without description")
        tokens = [bucket["tokens"] for bucket in function["buckets"]]
        require(tokens == sorted(set(tokens)), "buckets do not ascend")
        for bucket in function["buckets"]:
            for step in bucket["steps"]:
                check_step(plan, function, bucket, step)
                used.add(step["kernel"])
    require(used == set(range(len(plan["kernels"]))), "a kernel that nobody launches")


def check_weights(plan, header):
    for weight in plan["weights"]:
        tensor = header.get(weight["name"])
        require(tensor, f"weight {weight['name']} is missing")
        begin, end = tensor["data_offsets"]
        require(tensor["dtype"] == weight["type"].upper(), f"type of {weight['name']}")
        require(tensor["shape"] == weight["shape"], f"shape of {weight['name']}")
        size = elements(weight["shape"], 0) * TYPES[weight["type"]]
        require(end - begin == size, f"size of {weight['name']}")


def main():
    with open(sys.argv[1], "rb") as file:
        sections = read_frame(file.read())
    for name, content in sections.items():
        require(content, f"section {name} is empty")
        print(f"section {name}")
    plan = json.loads(sections["plan.json"])
    check_plan(plan, sections)
    if "weights.safetensors" in sections:
        check_weights(plan, read_safetensors(sections["weights.safetensors"]))
    print(f"target {plan['target']}")
    for function in plan["functions"]:
        buckets = ", ".join(str(bucket["tokens"]) for bucket in function["buckets"])
        print(f"function {function['name']}: buckets {buckets}")
        counting = [str(bucket["tokens"]) for bucket in function["buckets"]
                    if bucket.get("counter_bytes")]
        if counting:
            print(f"  counters in buckets {', '.join(counting)}")
        for kind in ("inputs", "outputs"):
            for tensor in function[kind]:
                print(f"  {kind[:-1]} {tensor['name']}: {tensor['type']} {tensor['shape']}")
    for state in plan["states"]:
        print(f"state {state['name']}: {state['type']} {state['shape']}")
    for key, value in sorted(plan.get("model", {}).items()):
        print(f"model {key}: {value}")


if __name__ == "__main__":
    main()
