"""Makes the folder that gpu-check needs: programs, bundles, candidate kernels, scripts.

usage: pack.py --build BUILD [--quick] [--data DATA] [--smollm2 GGUF] FOLDER

Everything is compiled here; on the machine with the GPU nothing is. The folder must not grow over
60 MB, so that bundles, most of which is PTX, are compressed. SmolLM2's bundle, 110 MB, does not fit: it is written to FOLDER-large, where gpu-check looks
for it. With --quick only what `gpu-check --quick` runs is made.
"""

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys

MAX_BYTES = 60_000_000
TARGETS = ("sm_80", "sm_90a")
PROGRAMS = ("bin/odyssey-run", "bin/odyssey-bench", "bin/odyssey-tune", "test/unit/DeviceTests")
# Model shapes whose products, and whose whole step, are measured, by target: W4A8, and the twin
# with weights of 8 bits to compare it with. The last ones are what is missing where time runs out.
W4A8, W8A8 = "none", "none,i8"
MODELS = {
    "sm_80": [("llama-2-7b", W4A8), ("llama-3-8b", W4A8), ("llama-2-7b", W8A8)],
    "sm_90a": [("llama-2-7b", W4A8), ("llama-3-8b", W4A8), ("llama-2-7b", W8A8)],
}
BATCHES = (1, 8)
TUNED = "llama-2-7b"
CANDIDATES = 5
# The GPU, among those of a target, whose measured schedules are taken.
GPUS = {"sm_80": "a100", "sm_90a": "h200"}


class Packer:
    def __init__(self, arguments):
        self.root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self.build = os.path.abspath(arguments.build)
        self.folder = os.path.abspath(arguments.folder)
        self.quick = arguments.quick
        self.data = arguments.data
        self.smollm2 = arguments.smollm2
        self.bundles = []

    def tool(self, name):
        return os.path.join(self.build, "bin", name)

    def run(self, *command):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"pack: {os.path.basename(command[0])} failed: {done.stderr.strip()}")
        return done.stdout

    def knows_target(self, target):
        """Whether the compiler makes code for `target`."""
        command = [self.tool("odyssey-compile"), os.path.join(self.root, "examples/matmul.mlir")]
        command += [f"--target={target}", "--emit=mlir", "-o", "-"]
        return subprocess.run(command, capture_output=True).returncode == 0

    def copy_programs(self):
        os.makedirs(os.path.join(self.folder, "bin"))
        for program in PROGRAMS:
            source = os.path.join(self.build, program)
            if not os.path.exists(source):
                print(f"pack: {program} has not been built, it is left out", file=sys.stderr)
                continue
            target = os.path.join(self.folder, "bin", os.path.basename(program))
            shutil.copy(source, target)
            strip = shutil.which("strip") or "/usr/lib/llvm-22/bin/llvm-strip"
            self.run(strip, target)

    def compile(self, source, name, target, *options, large=False, **facts):
        """Compiles one bundle into the folder and puts it on the list."""
        file = f"bundles/{name}.{target}.odyssey"
        path = os.path.join(self.folder, file)
        if large:
            os.makedirs(self.folder + "-large", exist_ok=True)
            path = os.path.join(self.folder + "-large", os.path.basename(file))
        gpu = [f"--target={target}", f"--gpu={GPUS[target]}"]
        self.run(self.tool("odyssey-compile"), source, *gpu, "-o", path, "--quiet", *options)
        self.bundles.append({"file": file, "model": name, "target": target, **facts})
        return path

    def text_bundle(self, checkpoint, name, target, prompt, max_tokens, *options, **facts):
        """A bundle with weights, and what the emulator says when it is asked to continue."""
        path = self.compile(
            checkpoint,
            name,
            target,
            *options,
            kind="text",
            prompt=prompt,
            max_tokens=max_tokens,
            required_characters=40,
            **facts,
        )
        command = [self.tool("odyssey-run"), path, "--device=emulator", "--prompt", prompt]
        command += ["--temperature", "0", "--quiet", "--max-tokens", str(max_tokens)]
        self.bundles[-1]["text"] = self.run(*command).rstrip("\n")

    def quantize(self, source, name, *options):
        folder = os.path.join(self.folder, "checkpoints", name)
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        self.run(self.tool("odyssey-quantize"), source, "-o", folder, "--quiet", *options)
        return folder

    def add_texts(self, targets):
        stories = os.path.join(self.data or "", "stories260K/stories260K.gguf")
        if os.path.exists(stories):
            checkpoint = self.quantize(stories, "stories260K", "--recipe=rtn")
            for target in targets:
                self.text_bundle(
                    checkpoint, "stories260K", target, "Once upon a time", 60, quick=True
                )
                if self.quick:
                    self.compile(
                        checkpoint,
                        "stories260K-shape",
                        target,
                        "--weights=none",
                        kind="model",
                        batches=[1],
                        quick=True,
                    )
        else:
            print(f"pack: no {stories}, no text of stories260K is checked", file=sys.stderr)
        if self.smollm2 and not self.quick:
            checkpoint = self.quantize(self.smollm2, "smollm2", "--recipe=rtn")
            for target in targets:
                self.text_bundle(
                    checkpoint,
                    "smollm2-135m",
                    target,
                    "The capital of France is",
                    24,
                    "--max-context=1024",
                    large=True,
                    quick=False,
                )

    @staticmethod
    def name_of(shape, weights):
        return shape if weights == W4A8 else f"{shape}-w8a8"

    def add_shapes(self, targets):
        small = os.path.join(self.root, "examples/llama-layer.mlir")
        for target in targets:
            for weights in (W4A8, W8A8):
                name = self.name_of("llama-layer", weights)
                self.compile(
                    small, name, target, f"--weights={weights}", kind="shapes", quick=True
                )
            if self.quick:
                continue
            for shape, weights in MODELS[target]:
                self.compile(
                    shape,
                    self.name_of(shape, weights),
                    target,
                    f"--weights={weights}",
                    "--max-context=2048",
                    f"--max-batch={max(BATCHES)}",
                    kind="model",
                    batches=BATCHES,
                    quick=False,
                )
                self.bundles.append({**self.bundles[-1], "kind": "shapes"})

    def add_packs(self, targets):
        if not os.path.exists(self.tool("odyssey-tune")):
            return
        os.makedirs(os.path.join(self.folder, "packs"))
        for target in targets:
            file = f"packs/gemm.{target}.pack"
            shapes, buckets = ("192x64", "1,16") if self.quick else (TUNED, "1,16,512")
            self.run(
                self.tool("odyssey-compile"),
                shapes,
                "--emit=pack",
                f"--target={target}",
                f"--gpu={GPUS[target]}",
                "-o",
                os.path.join(self.folder, file),
                f"--candidates={2 if self.quick else CANDIDATES}",
                f"--buckets={buckets}",
            )
            self.bundles.append(
                {"file": file, "model": "candidates", "target": target, "kind": "pack", "quick": True}
            )

    def make(self):
        for folder in (self.folder, self.folder + "-large"):
            shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(os.path.join(self.folder, "bundles"))
        targets = [t for t in TARGETS[: 1 if self.quick else None] if self.knows_target(t)]
        self.copy_programs()
        self.add_texts(targets)
        self.add_shapes(targets)
        self.add_packs(targets)
        self.compress_bundles()
        shutil.rmtree(os.path.join(self.folder, "checkpoints"), ignore_errors=True)
        scripts = os.path.join(self.folder, "benchmarks")
        os.makedirs(scripts)
        for name in ("common.py", "hf_baseline.py", "peer_humming.py"):
            shutil.copy(os.path.join(self.root, "benchmarks", name), scripts)
        check = os.path.join(self.folder, "gpu-check")
        shutil.copy(os.path.join(self.root, "scripts/gpu_check.py"), check)
        os.chmod(check, 0o755)
        commit = subprocess.run(
            ["git", "-C", self.root, "rev-parse", "HEAD"], capture_output=True, text=True
        ).stdout.strip()
        manifest = {"format": 1, "commit": commit or "unknown", "bundles": self.bundles}
        with open(os.path.join(self.folder, "manifest.json"), "w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1)
            file.write("\n")
        self.report()

    def compress_bundles(self):
        """Replaces all bundles in the folder by NAME.gz, which gpu-check unpacks."""
        for file in {bundle["file"] for bundle in self.bundles}:
            path = os.path.join(self.folder, file)
            if not os.path.exists(path):
                continue
            with open(path, "rb") as source, gzip.open(path + ".gz", "wb", 6) as target:
                shutil.copyfileobj(source, target)
            os.remove(path)

    def report(self):
        size = sum(
            os.path.getsize(os.path.join(folder, name))
            for folder, _, names in os.walk(self.folder)
            for name in names
        )
        print(f"{self.folder}: {size / 1e6:.1f} MB, {len(self.bundles)} bundles")
        if size > MAX_BYTES:
            sys.exit(f"pack: {size} bytes are more than the {MAX_BYTES} that a pack may have")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--build", required=True, help="build folder")
    parser.add_argument("--quick", action="store_true", help="only what gpu-check --quick runs")
    parser.add_argument("--data", help="folder with stories260K")
    parser.add_argument("--smollm2", help="GGUF file of SmolLM2-135M-Instruct")
    Packer(parser.parse_args()).make()


if __name__ == "__main__":
    main()
