"""Checks what no compiler checks. Prints one line per finding; exits 1 if there are any.

usage: lint.py [ROOT]

* dependencies go one way, by the spelling of includes;
* every header has an include guard named after its path;
* every C and C++ source begins with a header comment that says what it is for;
* every lit test with CHECK lines pipes into FileCheck;
* no marks for later, no paths of one machine, no tabs or trailing spaces;
* no file is too long to read in one sitting.
"""

import os
import re
import subprocess
import sys

MAX_LINES = 700
SOURCES = (".h", ".cpp", ".c", ".inc")
TEXTS = SOURCES + (".py", ".td", ".mlir", ".test", ".md", ".txt", ".cmake", ".sh", ".cfg", ".in")

# (folders, pattern of an include, what it may be all the same, why).
LAYERS = [
    (("runtime/",), r'^(mlir|llvm|llvm-c|mlir-c)/', (), "the runtime knows no LLVM"),
    (
        ("runtime/",),
        r"^odyssey/(?!runtime/|emulator/)",
        (),
        "the runtime includes nothing of the compiler",
    ),
    (
        ("lib/", "include/", "dialects/"),
        r"^odyssey/runtime/",
        ("odyssey/runtime/BundleFormat.h", "odyssey/runtime/TuningFormat.h"),
        "the compiler includes nothing of the runtime but the formats",
    ),
    (
        ("lib/Layout/", "include/odyssey/Layout/", "lib/Reference/", "include/odyssey/Reference/"),
        r"^(mlir|llvm)/",
        (),
        "layouts and the reference are plain C++",
    ),
]

# Assembled, so that this file passes its own test.
MARKS = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
MACHINE = re.compile(r"(?<![\w.-])/(?:root|work|home)/\w")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]', re.MULTILINE)
HEADER = re.compile(r"^(?://|/\*)===-+ (\S+) (- \S.*)?")


def source_files(root):
    """Files that git knows or would take; all files where root is no repository."""

    def git(*arguments):
        command = ["git", "-C", root, *arguments]
        return subprocess.run(command, capture_output=True, text=True).stdout

    top = git("rev-parse", "--show-toplevel").strip()
    if top and os.path.realpath(top) == os.path.realpath(root):
        listed = git("ls-files", "--cached", "--others", "--exclude-standard")
        paths = listed.splitlines()
    else:
        paths = [
            os.path.relpath(os.path.join(folder, name), root)
            for folder, _, names in os.walk(root)
            for name in names
        ]
    return sorted(p for p in set(paths) if os.path.isfile(os.path.join(root, p)))


def guard_of(path):
    """ODYSSEY_TARGET_PTX_H for include/odyssey/Target/Ptx.h, and so on."""
    for public in ("runtime/include/", "include/"):
        if path.startswith(public):
            path = path[len(public) :]
            break
    else:
        path = "odyssey/" + path
    return re.sub(r"[^A-Z0-9]", "_", path.upper())


def same_guard(actual, expected):
    """Dashes of folder names may be left out: TOOLS_ODYSSEYCOMPILE."""
    return actual.replace("_", "") == expected.replace("_", "")


def check_includes(path, text):
    for folders, pattern, allowed, why in LAYERS:
        if not path.startswith(folders):
            continue
        for include in INCLUDE.findall(text):
            if re.search(pattern, include) and include not in allowed:
                yield f"includes {include}: {why}"


def check_source(path, text):
    name = os.path.basename(path)
    match = HEADER.match(text)
    # The name of a unit test says what it is for.
    needs_purpose = not path.startswith("test/unit/")
    if not match or match.group(1) != name or (needs_purpose and not match.group(2)):
        yield f"does not begin with '//===- {name} - what it is for ---===//'"
    if path.endswith(".h"):
        guard = re.search(r"^#ifndef (\w+)\n#define (\w+)$", text, re.MULTILINE)
        if not guard or guard.group(1) != guard.group(2):
            yield "has no include guard"
        elif not same_guard(guard.group(1), guard_of(path)):
            yield f"has the include guard {guard.group(1)}, expected {guard_of(path)}"


def check_lit_test(text):
    runs = re.findall(r"RUN:(.*)", text)
    if not runs:
        yield "has no RUN line"
    if not any("FileCheck" in run for run in runs) and re.search(
        r"\bCHECK(-[A-Z]+)?:", text
    ):
        yield "has CHECK lines but no FileCheck in a RUN line"
    for prefix in re.findall(r"--check-prefix=(\w+)", "\n".join(runs)):
        if not re.search(rf"\b{prefix}(-[A-Z]+)?(-\d+)?:", text):
            yield f"checks the prefix {prefix}, of which there is no line"


def check(root, path):
    if not path.endswith(TEXTS) and path not in ("dev", ".ci/run"):
        return
    with open(os.path.join(root, path), encoding="utf-8") as file:
        text = file.read()
    yield from check_includes(path, text)
    if path.endswith((".h", ".cpp", ".c")):
        yield from check_source(path, text)
    if path.startswith("test/") and path.endswith((".mlir", ".test")) and "/Inputs/" not in path:
        yield from check_lit_test(text)
    lines = text.splitlines()
    if len(lines) > MAX_LINES and path.endswith(SOURCES + (".py", ".td")):
        yield f"has {len(lines)} lines, more than {MAX_LINES}"
    for number, line in enumerate(lines, 1):
        if MARKS.search(line):
            yield f"line {number}: a mark for later"
        if MACHINE.search(line):
            yield f"line {number}: a path of one machine"
        if line != line.rstrip() and not path.endswith(".md"):
            yield f"line {number}: spaces at the end"
        if "\t" in line and path.endswith(SOURCES + (".td", ".py", ".mlir")):
            yield f"line {number}: a tab"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..")
    findings = 0
    for path in source_files(root):
        for finding in check(root, path):
            print(f"{path}: {finding}")
            findings += 1
    if findings:
        sys.exit(1)


if __name__ == "__main__":
    main()
