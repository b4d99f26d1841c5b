# GoogleTest programs, found by the "Tests" at the end of their names.

import os

import lit.formats

config.name = "Odyssey-Unit"
config.suffixes = []
config.test_source_root = os.path.join(config.odyssey_build, "test", "unit")
config.test_exec_root = config.test_source_root
config.test_format = lit.formats.GoogleTest(".", "Tests")
config.environment["ODYSSEY_DATA"] = os.environ.get("ODYSSEY_DATA") or os.path.join(
    config.odyssey_source, "..", "shared", "data"
)
if "ODYSSEY_SMOLLM2" in os.environ:
    config.environment["ODYSSEY_SMOLLM2"] = os.environ["ODYSSEY_SMOLLM2"]
