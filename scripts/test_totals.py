"""Prints what a lit run skipped and its totals, from the XML of `lit --xunit-xml-output`."""

import sys
import xml.etree.ElementTree as ElementTree


def main():
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for case in ElementTree.parse(sys.argv[1]).iter("testcase"):
        skipped = case.find("skipped")
        if skipped is not None:
            counts["skipped"] += 1
            reason = skipped.get("message", "")
            if case.get("classname").startswith("Odyssey-Unit"):
                # GoogleTest keeps the reason to its own output.
                reason = "skips itself where what it needs is missing"
            print(f"skipped: {case.get('classname')}/{case.get('name')}: {reason}")
        elif case.find("failure") is not None:
            counts["failed"] += 1
        else:
            counts["passed"] += 1
    print(", ".join(f"{count} {name}" for name, count in counts.items()))


if __name__ == "__main__":
    main()
