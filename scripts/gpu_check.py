#!/usr/bin/env python3
"""Checks and measures this project on one machine, from a folder that `./dev pack` made.

usage: gpu-check [--device=cuda] [--quick] [--pytorch] [--only STAGE,...] [RESULTS_DIR]

Needs Python and, on a GPU, its driver; no network, no compiler. Each stage has a time limit of its
own, and all together end within 9 minutes. RESULTS_DIR (default: results) gets one JSON file and one
log for each stage, also for those that fail, and summary.json. The exit status is 1 when a stage
failed.
"""

import argparse
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOTAL_SECONDS = 9 * 60 - 15
SANITIZER_FOLDERS = ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer")


class StageError(Exception):
    """Why a stage failed."""


class Skipped(Exception):
    """Why a stage did not run."""


class TimedOut(Exception):
    """A program ran past the limit of its stage."""


class Check:
    """What all stages share: the pack, the device, the results, and the time left."""

    def __init__(self, arguments):
        self.pack = os.path.dirname(os.path.abspath(__file__))
        self.device = arguments.device
        self.quick = arguments.quick
        self.pytorch = arguments.pytorch
        self.results = os.path.abspath(arguments.results)
        self.end = time.monotonic() + TOTAL_SECONDS
        self.stage_end = self.end
        self.log = None
        # What the stage at hand has measured so far; kept when it fails.
        self.partial = None
        self.capability = 0
        self.unpacked = tempfile.TemporaryDirectory(prefix="gpu-check-")
        with open(os.path.join(self.pack, "manifest.json"), encoding="utf-8") as file:
            self.manifest = json.load(file)

    def program(self, name):
        path = os.path.join(self.pack, "bin", name)
        if not os.path.exists(path):
            raise Skipped(f"the pack has no {name}")
        return path

    def bundles(self, kind):
        """Of each model of the manifest, the bundle whose target suits the device best."""
        best = {}
        for bundle in self.manifest["bundles"]:
            if bundle["kind"] != kind or (self.quick and not bundle["quick"]):
                continue
            path = os.path.join(self.pack, bundle["file"] + ".gz")
            if not os.path.exists(path):
                # What is too large for the pack may lie beside it.
                path = os.path.join(self.pack + "-large", os.path.basename(bundle["file"]))
            rank = self.rank(bundle["target"])
            if not os.path.exists(path) or rank is None:
                continue
            if bundle["model"] not in best or rank > best[bundle["model"]][0]:
                best[bundle["model"]] = (rank, {**bundle, "path": path})
        return [
            {**bundle, "path": self.plain(bundle["path"])} for _, bundle in best.values()
        ]

    def plain(self, path):
        """The file at `path`, or what it has compressed."""
        if not path.endswith(".gz"):
            return path
        plain = os.path.join(self.unpacked.name, os.path.basename(path)[: -len(".gz")])
        if not os.path.exists(plain):
            with gzip.open(path, "rb") as source, open(plain, "wb") as target:
                shutil.copyfileobj(source, target)
        return plain

    def rank(self, target):
        """How well code for `target` suits the device; None where it cannot run."""
        capability = int(target[3:].rstrip("a"))
        exact = target.endswith("a")
        if self.capability == 0:  # the emulator runs all
            return 0 if exact else capability
        if exact:
            return 1000 if capability == self.capability else None
        return capability if capability <= self.capability else None

    def run(self, command, ok=(0,)):
        """Runs a program within the stage's time; its output as text."""
        timeout = self.stage_end - time.monotonic()
        if timeout <= 0:
            raise TimedOut
        self.log.write("$ " + " ".join(command) + "\n")
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            self.log.write(output)
            raise TimedOut from error
        self.log.write(output)
        if process.returncode not in ok:
            lines = [line for line in output.splitlines() if line.strip()]
            why = lines[-1] if lines else f"exit status {process.returncode}"
            raise StageError(f"{os.path.basename(command[0])}: {why}")
        return output

    def result_file(self, name):
        return os.path.join(self.results, name)

    def measure(self, command):
        """Runs a program that writes JSON to the file behind -o, also when it fails halfway."""
        output = self.result_file("part.json")
        if os.path.exists(output):
            os.remove(output)
        try:
            self.run([*command, "-o", output])
        finally:
            if os.path.exists(output):
                self.partial = read_json(output)
                os.remove(output)
        return self.partial


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def find_tool(name, folders=()):
    found = shutil.which(name)
    for folder in folders:
        path = os.path.join(folder, name)
        if not found and os.access(path, os.X_OK):
            found = path
    return found


# Stages. Each returns a note for the table and a JSON value, or raises.


def stage_device(check):
    """Device facts, from the runtime and from nvidia-smi where that is installed."""
    output = check.run([check.program("odyssey-run"), "--list-devices"])
    facts = check.measure([check.program("odyssey-bench"), "device", f"--device={check.device}"])
    value = {"devices": output.splitlines(), "device": facts}
    check.capability = facts["compute_capability"]
    smi = find_tool("nvidia-smi")
    if smi and check.capability:
        value["nvidia_smi"] = check.run([smi]).splitlines()
    return facts["name"], value


def stage_conformance(check):
    """The suite that every device passes."""
    kind = check.device.split(":")[0]
    output = check.result_file("conformance-tests.json")
    command = [
        check.program("DeviceTests"),
        f"--gtest_filter=Devices/Conformance*Test.*/{kind}",
        f"--gtest_output=json:{output}",
    ]
    try:
        check.run(command)
    finally:
        value = read_json(output)
        if value is not None:
            os.remove(output)
    tests = [test for suite in value["testsuites"] for test in suite["testsuite"]]
    # Files' places in the project: results are published, and where it was built means nothing elsewhere.
    for test in tests:
        if "file" in test:
            test["file"] = "test/" + test["file"].rpartition("/test/")[2]
    skipped = [test["name"] for test in tests if test["result"] == "SKIPPED"]
    if skipped or not tests:
        raise StageError(f"{len(skipped)} of {len(tests)} tests were skipped")
    return f"{len(tests)} tests", value


def stage_exact(check):
    """Every product of every bundle and pack, bit for bit, at many token counts."""
    tokens = "1,3,8,17,40" if check.quick else "1,2,3,7,8,9,15,16,17,31,33,64,65,127,129,500"
    compared, values = 0, []
    for bundle in check.bundles("text") + check.bundles("shapes") + check.bundles("pack"):
        command = [check.program("odyssey-bench"), "gemm", bundle["path"], "--check-only"]
        value = check.measure([*command, f"--device={check.device}", f"--tokens={tokens}"])
        values.append(value)
        compared += sum(result["compared_outputs"] for result in value["results"])
    if not compared:
        raise StageError("no product was compared")
    products = sum(len(value["results"]) for value in values)
    return f"{products} products, {compared} outputs equal", values


def stage_text(check):
    """Text at temperature 0, against what the emulator wrote when the pack was made."""
    values, notes = [], []
    for bundle in check.bundles("text"):
        command = [check.program("odyssey-run"), bundle["path"], f"--device={check.device}"]
        command += ["--prompt", bundle["prompt"], "--temperature", "0", "--quiet"]
        command += ["--max-tokens", str(bundle["max_tokens"])]
        text = check.run(command).rstrip("\n")
        expected = bundle["text"]
        same = len(os.path.commonprefix([text, expected]))
        values.append(
            {
                "bundle": os.path.basename(bundle["path"]),
                "text": text,
                "expected": expected,
                "equal_characters": same,
            }
        )
        # Sums of the attention are rounded in another order on another device,
        # which may at some point tip the balance between two words.
        if same < min(len(expected), bundle["required_characters"]):
            raise StageError(f"{bundle['model']} wrote '{text[:60]}', expected '{expected[:60]}'")
        notes.append(f"{bundle['model']} {same}/{len(expected)} characters equal")
    if not values:
        raise Skipped("the pack has no bundle with weights")
    return ", ".join(notes), values


def stage_sanitizer(check):
    """compute-sanitizer on a small model."""
    if check.capability == 0:
        raise Skipped("compute-sanitizer needs a GPU")
    tool = find_tool("compute-sanitizer", SANITIZER_FOLDERS)
    if not tool:
        raise Skipped("compute-sanitizer is not installed")
    bundles = check.bundles("text")
    if not bundles:
        raise Skipped("the pack has no bundle with weights")
    smallest = min(bundles, key=lambda bundle: os.path.getsize(bundle["path"]))
    run = [check.program("odyssey-run"), smallest["path"], f"--device={check.device}"]
    run += ["--prompt", smallest["prompt"], "--temperature", "0", "--max-tokens", "3"]
    values = {}
    for name in ("memcheck", "racecheck"):
        # Counting a kernel's parameters ends with a call that has to fail.
        options = ["--tool", name, "--error-exitcode", "9", "--report-api-errors", "no"]
        output = check.run([tool, *options, *run])
        values[name] = [line for line in output.splitlines() if line.startswith("=====")]
        if any("not supported" in line for line in values[name]):
            raise Skipped("compute-sanitizer does not support this device")
    return "memcheck and racecheck are clean", values


def stage_tune(check):
    """Times of all candidate kernels of the packs, as a tuning database."""
    packs = check.bundles("pack")
    if not packs:
        raise Skipped("the pack has no candidate kernels")
    database = check.result_file("tuning.json")
    for pack in packs:
        # It keeps what it has measured when its time is over.
        limit = max(1, int(check.stage_end - time.monotonic() - 10))
        command = [check.program("odyssey-tune"), "run", pack["path"], "-o", database]
        command += [f"--device={check.device}", f"--limit={limit}"]
        check.run([*command, f"--seconds={0.002 if check.quick else 0.03}"])
    value = read_json(database)
    return f"{len(value['entries'])} entries in tuning.json", value


def stage_gemm(check):
    """Products beside cuBLASLt's."""
    bundles = check.bundles("shapes")
    if not bundles:
        raise Skipped("the pack has no model shapes")
    command = [check.program("odyssey-bench"), "gemm", *(b["path"] for b in bundles)]
    command.append(f"--device={check.device}")
    if check.quick:
        command += ["--tokens=1,16", "--seconds=0.005", "--min-replays=2"]
    else:
        command += ["--tokens=1,4,8,16,32,64,128,256,512,1024,2048,4096", "--seconds=0.03"]
    value = check.measure(command)
    ours = [result for result in value["results"] if "seconds" in result]
    return f"{len(ours)} products, baselines: {value['baseline_library']}", value


def stage_model(check):
    """Prefill and decode of models with made-up weights."""
    values, notes = [], []
    for bundle in check.bundles("model"):
        command = [check.program("odyssey-bench"), "model", bundle["path"], "--synthetic"]
        command.append(f"--device={check.device}")
        # Process start to first token, in a first and in a second run.
        start = [*command, "--prompt-tokens=1", "--decode-tokens=1", "--runs=1"]
        cold = check.measure(start)["first_token_seconds"]
        warm = check.measure(start)["first_token_seconds"]
        if check.quick:
            command += ["--prompt-tokens=16", "--decode-tokens=4", "--runs=1"]
        else:
            command.append("--batch=" + ",".join(map(str, bundle["batches"])))
        value = check.measure(command)
        value["first_token_seconds"] = {"first_run": cold, "second_run": warm}
        values.append(value)
        first = value["results"][0]
        notes.append(f"{bundle['model']} decode {first['decode_tokens_per_second']:.1f} tokens/s")
    if not values:
        raise Skipped("the pack has no models to measure")
    return ", ".join(notes), values


def pytorch_script(check, name, options):
    if not check.pytorch:
        raise Skipped("only with --pytorch")
    script = os.path.join(check.pack, "benchmarks", name)
    limit = max(5, int(check.stage_end - time.monotonic() - 5))
    value = check.measure([sys.executable, script, f"--time-limit={limit}", *options])
    return f"{len(value['results'])} results", value


def stage_humming(check):
    """Humming's products of the same shapes."""
    return pytorch_script(
        check, "peer_humming.py", ["--tokens=1,8,16,64,256,1024,4096", "--seconds=0.03"]
    )


def stage_hugging_face(check):
    """Hugging Face LLaMA in fp16."""
    return pytorch_script(check, "hf_baseline.py", ["--modes=eager", "--batches=1,8"])


# In their order; seconds at most.
STAGES = [
    ("device", stage_device, 20),
    ("conformance", stage_conformance, 45),
    ("exact", stage_exact, 80),
    ("text", stage_text, 45),
    ("sanitizer", stage_sanitizer, 60),
    ("gemm", stage_gemm, 110),
    ("model", stage_model, 60),
    ("tune", stage_tune, 100),
    ("humming", stage_humming, 60),
    ("hugging-face", stage_hugging_face, 60),
]


def run_stage(check, name, stage, limit):
    """Runs one stage and writes its JSON and its log."""
    begin = time.monotonic()
    check.stage_end = min(begin + limit, check.end)
    value = check.partial = None
    with open(check.result_file(name + ".log"), "w", encoding="utf-8") as check.log:
        try:
            note, value = stage(check)
            status = "passed"
        except Skipped as reason:
            status, note = "skipped", str(reason)
        except TimedOut:
            status, note = "failed", f"did not end within {check.stage_end - begin:.0f} s"
        except (StageError, OSError) as error:
            status, note = "failed", str(error)
        except (TypeError, KeyError, ValueError) as error:
            status, note = "failed", f"a program's results cannot be read: {error!r}"
    result = {
        "stage": name,
        "status": status,
        "note": note,
        "seconds": round(time.monotonic() - begin, 2),
        "result": check.partial if value is None else value,
    }
    with open(check.result_file(name + ".json"), "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    return result


def print_table(results):
    print(f"\n{'stage':<14} {'status':<8} {'seconds':>8}  note")
    for result in results:
        print(
            f"{result['stage']:<14} {result['status']:<8} {result['seconds']:>8.1f}  "
            f"{result['note']}"
        )


def main():
    parser = argparse.ArgumentParser(
        prog="gpu-check", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("results", nargs="?", default="results", metavar="RESULTS_DIR")
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:N or emulator")
    parser.add_argument("--quick", action="store_true", help="small shapes and short measurements")
    parser.add_argument("--pytorch", action="store_true", help="baselines in PyTorch as well")
    parser.add_argument("--only", default="", help="these stages (and device), by name")
    arguments = parser.parse_args()
    names = [name for name, _, _ in STAGES]
    only = [name for name in arguments.only.split(",") if name]
    for name in only:
        if name not in names:
            parser.error(f"unknown stage '{name}', expected one of {', '.join(names)}")
    os.makedirs(arguments.results, exist_ok=True)
    check = Check(arguments)
    results = []
    for name, stage, limit in STAGES:
        if only and name not in only and name != "device":
            continue
        print(f"gpu-check: {name}", file=sys.stderr, flush=True)
        results.append(run_stage(check, name, stage, limit))
        if name == "device" and results[-1]["status"] != "passed":
            break
    summary = {
        "format": 1,
        "commit": check.manifest["commit"],
        "device": check.device,
        "quick": check.quick,
        "stages": [{key: r[key] for key in ("stage", "status", "seconds", "note")} for r in results],
    }
    with open(check.result_file("summary.json"), "w", encoding="utf-8") as file:
        json.dump(summary, file, indent=1)
        file.write("\n")
    print_table(results)
    return 1 if any(result["status"] == "failed" for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
