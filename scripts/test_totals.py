"""Prints the totals of a lit run, from the JSON that `lit -o` writes."""

import collections
import json
import sys


def main():
    with open(sys.argv[1]) as file:
        tests = json.load(file)["tests"]
    counts = collections.Counter(test["code"] for test in tests)
    passed = counts["PASS"] + counts["FLAKYPASS"]
    skipped = counts["UNSUPPORTED"] + counts["SKIPPED"] + counts["EXCLUDED"]
    failed = sum(counts.values()) - passed - skipped - counts["XFAIL"]
    for test in tests:
        if test["code"] in ("UNSUPPORTED", "SKIPPED"):
            print(f"{test['code'].lower()}: {test['name']}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")


if __name__ == "__main__":
    main()
