"""Prints what a page of odyssey-quantize --report holds; it must be well-formed XML behind its doctype.

usage: read_report.py FILE.html
"""

import sys
import xml.etree.ElementTree as ElementTree


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        doctype, page = file.read().split("\n", 1)
    assert doctype == "<!DOCTYPE html>", doctype
    root = ElementTree.fromstring(page)
    print(root.findtext("head/title"))
    body = root.find("body")
    for name, value in zip(body.iter("dt"), body.iter("dd")):
        print(f"{name.text}: {value.text}")
    heading = ""
    for element in body:
        if element.tag == "h2":
            heading = element.text
        elif element.tag == "div":
            plots = element.findall("svg")
            (layers,) = {len(plot.findall("rect[@class='hover']")) for plot in plots}
            print(f"{heading}: {len(plots)} plots of {layers} layers")
        elif element.tag == "table":
            print(f"{heading}: {len(element.findall('tr')) - 1} rows")


if __name__ == "__main__":
    main()
