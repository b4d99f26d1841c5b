"""Writes a source tree into the folder given that breaks each rule of scripts/lint.py."""

import os
import sys

HEADER = "//===- {} - What it is for ---===//\n"
GUARDED = "#ifndef {0}\n#define {0}\n#endif\n"

FILES = {
    "docs/page.md": "See /ro" + "ot/odyssey.\n",
    "include/odyssey/Target/Bad.h": HEADER.format("Bad.h")
    + GUARDED.format("WRONG_H")
    + '#include "odyssey/runtime/Device.h"\n#include "odyssey/runtime/BundleFormat.h"\n',
    "include/odyssey/Target/Good.h": HEADER.format("Good.h")
    + GUARDED.format("ODYSSEY_TARGET_GOOD_H"),
    "include/odyssey/Target/NoGuard.h": HEADER.format("NoGuard.h"),
    "lib/Layout/Bad.cpp": HEADER.format("Bad.cpp") + '#include "llvm/ADT/ArrayRef.h"\n',
    "lib/Target/Long.cpp": HEADER.format("Long.cpp") + "int x;\n" * 800,
    "lib/Target/NoHeader.cpp": "int x;\n",
    "runtime/session/Bad.cpp": HEADER.format("Bad.cpp")
    + '#include "mlir/IR/Value.h"\n#include "odyssey/Target/Ptx.h"\n'
    + "// TO"
    + "DO: later\n\tint x;\nint y; \n",
    "test/Transforms/no-check.mlir": "// RUN: odyssey-opt %s\n// CHECK: x\n",
    "test/Transforms/no-run.mlir": "// CHECK: x\n",
    "test/Transforms/prefix.mlir": "// RUN: odyssey-opt %s | FileCheck %s --check-prefix=OTHER\n",
}


def main():
    for path, text in FILES.items():
        path = os.path.join(sys.argv[1], path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)


if __name__ == "__main__":
    main()
