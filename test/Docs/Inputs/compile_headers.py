"""Compiles each public header that needs nothing but the standard library, alone.

usage: compile_headers.py CLANG SOURCE
"""

import glob
import os
import subprocess
import sys


def main():
    clang, source = sys.argv[1:]
    includes = [f"-I{source}/include", f"-I{source}/runtime/include"]
    warnings = ["-Wall", "-Wextra", "-Werror"]
    headers = []
    for folder in ("runtime/include/odyssey/runtime", "include/odyssey/Layout",
                   "include/odyssey/Reference"):
        headers += sorted(glob.glob(f"{source}/{folder}/**/*.h", recursive=True))
    jobs = []
    for header in headers:
        languages = [["-x", "c++", "-std=c++20"]]
        if os.path.basename(header) == "odyssey.h":
            languages.append(["-x", "c", "-std=c11"])
        for language in languages:
            command = [clang, "-fsyntax-only", *language, *warnings, *includes, "-include", header]
            jobs.append((header, subprocess.Popen(command + ["/dev/null"])))
    failed = [header for header, process in jobs if process.wait() != 0]
    if failed or not jobs:
        sys.exit(f"do not compile alone: {failed}")


if __name__ == "__main__":
    main()
