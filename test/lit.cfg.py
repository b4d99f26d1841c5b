# Tests of IR files and programs. Features: `ptxas` and `nvdisasm` where
# they are installed, `data` where the models and texts for tests are.

import os
import shutil

import lit.formats

config.name = "Odyssey"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["unit", "Inputs"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.odyssey_build, "test")

config.environment["PATH"] = os.pathsep.join(
    [
        os.path.join(config.odyssey_build, "bin"),
        config.llvm_tools,
        os.environ["PATH"],
    ]
)

# Compiled kernels are kept here, not in the user's cache.
config.environment["XDG_CACHE_HOME"] = os.path.join(config.odyssey_build, "test-cache")

ptxas = os.environ.get("ODYSSEY_PTXAS") or shutil.which("ptxas")
if ptxas:
    config.available_features.add("ptxas")
    config.environment["ODYSSEY_PTXAS"] = ptxas
    config.substitutions.append(("%ptxas", ptxas))

nvdisasm = os.environ.get("ODYSSEY_NVDISASM") or shutil.which("nvdisasm")
if nvdisasm:
    config.available_features.add("nvdisasm")
    config.substitutions.append(("%nvdisasm", nvdisasm))

data = os.environ.get("ODYSSEY_DATA") or os.path.join(
    config.odyssey_source, "..", "shared", "data"
)
if os.path.isdir(data):
    config.available_features.add("data")
    config.substitutions.append(("%data", os.path.abspath(data)))

config.substitutions.append(("%source", config.odyssey_source))
config.substitutions.append(("%build", config.odyssey_build))
# A program that must fail with this exit code: `%exits 1 odyssey-compile ...`.
config.substitutions.append(
    ("%exits", f"bash {config.odyssey_source}/test/exits.sh")
)
config.substitutions.append(("%python", "python3"))
