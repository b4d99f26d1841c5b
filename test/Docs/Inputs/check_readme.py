"""Checks the commands, excerpts and links of a Markdown page.

usage: check_readme.py PAGE SOURCE BUILD SCRATCH

* Commands: every ```sh block behind `<!-- test -->` runs, in SCRATCH, where `build`,
  `examples` and `test` are links, and exits with 0.
* Excerpts: every line of a block behind `<!-- shows: COMMAND -->` is in the command's
  output, in that order. "..." stands for anything, and names of values do not
  count.
* Links to files of the repository lead somewhere.
"""

import os
import re
import subprocess
import sys

BLOCK = r"\n```\w*\n(.*?)\n```\n"
TESTED = re.compile(r"<!-- test -->" + BLOCK, re.DOTALL)
SHOWN = re.compile(r"<!-- shows: (.*?) -->" + BLOCK, re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)\)")


def run(command, folder):
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if result.returncode != 0:
        sys.exit(f"'{command}' exits with {result.returncode}:\n{result.stderr}")
    return result.stdout


def normalize(line):
    return re.sub(r"\s+", " ", re.sub(r"%[\w#:]+", "%", line)).strip()


def matches(shown, line):
    at = 0
    for piece in (part.strip() for part in shown.split("...")):
        found = line.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def check_excerpt(command, block, folder):
    output = iter(normalize(line) for line in run(command, folder).splitlines())
    for shown in block.splitlines():
        wanted = normalize(shown)
        if not any(matches(wanted, line) for line in output):
            sys.exit(f"the output of '{command}' has no line '{shown.strip()}' there")


def main():
    page, source, build, scratch = sys.argv[1:]
    os.makedirs(scratch, exist_ok=True)
    os.symlink(build, os.path.join(scratch, "build"))
    for name in ("examples", "test"):
        os.symlink(os.path.join(source, name), os.path.join(scratch, name))
    with open(page, encoding="utf-8") as file:
        text = file.read()
    for block in TESTED.findall(text):
        run(block, scratch)
    for command, block in SHOWN.findall(text):
        check_excerpt(command, block, scratch)
    for link in LINK.findall(text):
        if not os.path.exists(os.path.join(os.path.dirname(page), link)):
            sys.exit(f"{page} links to {link}, which is not there")
    print(f"{len(TESTED.findall(text))} commands, {len(SHOWN.findall(text))} excerpts")


if __name__ == "__main__":
    main()
