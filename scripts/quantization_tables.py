"""Measures the quantization recipes and writes the tables of docs/quantization.md.

usage: quantization_tables.py --bin FOLDER --data FOLDER --work FOLDER [--smollm2 FILE] [--page FILE]
                              [--groups SIZES] [--only PATTERN] [--again] [--list] [--reference]

A row is one model, one text, one recipe and one group size. It is quantized with a calibration text of the same kind,
compiled, and its bundle measured in the emulator; fp32 is measured on the reference. What is in the work folder already
(quantized folders, bundles, results as JSON) is not made again without --again. --only takes the rows whose names match
PATTERN, as a shell matches files ('SmolLM2*lwc'); --list prints the rows' names and commands and runs nothing.
--reference measures perplexity on the W4A8 reference instead, which takes less time; where a bundle has been measured,
that counts.

With --page, the results so far go to quantization-results.json beside the page, which keeps those of other rows, and, as
tables, between the page's lines `<!-- table: NAME -->` and `<!-- end -->`.
"""

import argparse
import fnmatch
import json
import math
import os
import re
import shlex
import subprocess
import sys

# Calibrated on one part of a collection, measured on another.
TEXTS = {
    "tinystories": {
        "title": "tinystories-valid.txt, calibrated on tinystories-train.txt",
        "calibration": "text/tinystories-train.txt",
        "text": "text/tinystories-valid.txt",
        "options": [],
    },
    "wikitext2": {
        "title": "8,192 tokens of wikitext2-test.txt, calibrated on wikitext2-valid.txt",
        "calibration": "text/wikitext2-valid.txt",
        "text": "text/wikitext2-test.txt",
        "options": ["--max-tokens=8192"],
    },
}
LAST_WORDS = ["--lambada", "text/lambada-test.jsonl", "--max-passages=300"]
RECIPES = ["rtn", "lwc", "gptq", "lwc+gptq"]
# (model, text, whether last words are measured too, options of calibration)
RUNS = [
    ("stories260K", "tinystories", False, []),
    ("stories260K", "wikitext2", False, []),
    # A quarter of the default, which takes the longest part of a row.
    ("SmolLM2-135M", "tinystories", False, ["--samples=16"]),
    ("SmolLM2-135M", "wikitext2", True, []),
]


class Row:
    def __init__(self, model, text, last_words, recipe, group=0, calibration=()):
        self.model, self.text, self.last_words = model, text, last_words
        self.calibration = calibration
        self.recipe, self.group = recipe, group

    @property
    def label(self):
        return self.recipe + (f" g{self.group}" if self.group else "")

    @property
    def name(self):
        return f"{self.model}-{self.text}-{self.label.replace(' ', '-')}"

    @property
    def table(self):
        return f"{self.model} {self.text}"

    def commands(self, args):
        """What makes the result: pairs of a product, to be skipped where it exists, and a command. The last prints JSON."""
        checkpoint = {
            "stories260K": os.path.join(args.data, "stories260K/stories260K.gguf"),
            "SmolLM2-135M": args.smollm2,
        }[self.model]
        text = TEXTS[self.text]
        folder = os.path.join(args.work, self.name)
        bundle = folder + ".odyssey"
        evaluate = ["--text", os.path.join(args.data, text["text"]), *text["options"], "--json"]
        if self.last_words and not args.reference:
            evaluate += [LAST_WORDS[0], os.path.join(args.data, LAST_WORDS[1]), *LAST_WORDS[2:]]
        program = lambda name: os.path.join(args.bin, name)
        if self.recipe == "fp32":
            return [("", [program("odyssey-eval"), checkpoint, *evaluate])]
        quantize = [program("odyssey-quantize"), checkpoint, "-o", folder, "--force", "--quiet"]
        quantize += [f"--recipe={self.recipe}"]
        if self.recipe != "rtn":
            quantize += [f"--calibration={os.path.join(args.data, text['calibration'])}", *self.calibration]
        if self.group:
            quantize += [f"--group-size={self.group}"]
        if args.reference:
            return [(folder, quantize), ("", [program("odyssey-eval"), folder, *evaluate])]
        compile = [program("odyssey-compile"), folder, "-o", bundle, "--quiet", *self.limits()]
        return [
            (folder, quantize),
            (bundle, compile),
            ("", [program("odyssey-eval"), bundle, "--device=emulator", *evaluate]),
        ]

    def limits(self):
        return ["--max-context=512"] if self.model == "SmolLM2-135M" else []


def all_rows(groups):
    rows = []
    for model, text, last_words, calibration in RUNS:
        rows.append(Row(model, text, last_words, "fp32"))
        for group in [0, *groups]:
            rows += [Row(model, text, last_words, recipe, group, calibration) for recipe in RECIPES]
    return rows


def measure(row, args):
    """Runs the commands of a row. Returns what the last one prints."""
    output = ""
    for product, command in row.commands(args):
        if product and os.path.exists(product) and not args.again:
            continue
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"{shlex.join(command)}\nexits with {result.returncode}: {result.stderr}")
        output = result.stdout
    evaluation = json.loads(output)
    # Paths are of one machine.
    for part in ("text", "last_words"):
        if part in evaluation:
            evaluation[part]["file"] = os.path.basename(evaluation[part]["file"])
    evaluation["model"] = row.model
    return {"recipe": row.recipe, "group_size": row.group, **evaluation}


def result_file(row, args, reference):
    return os.path.join(args.work, row.name + (".reference.json" if reference else ".json"))


def results_file(page):
    return os.path.join(os.path.dirname(page), "quantization-results.json")


def known_results(args):
    """What the page has already, by the rows' names."""
    if not args.page or not os.path.exists(results_file(args.page)):
        return {}
    with open(results_file(args.page), encoding="utf-8") as file:
        return json.load(file)


def read_results(rows, args):
    """What the page has already, and above that what is in the work folder."""
    known = known_results(args)
    results = {row.name: known[row.name] for row in rows if row.name in known}
    for row in rows:
        for reference in (True, False):
            path = result_file(row, args, reference)
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    results[row.name] = json.load(file)
    return results


def won_back(row, result, results):
    """The share of the log-perplexity which rtn loses against fp32 that a recipe does not lose."""
    losses = [
        results.get(Row(row.model, row.text, False, recipe, 0).name, {}).get("text", {}).get("loss")
        for recipe in ("fp32", "rtn")
    ]
    if None in losses or (row.recipe in ("fp32", "rtn") and not row.group):
        return ""
    fp32, rtn = losses
    return f"{100 * (rtn - result['text']['loss']) / (rtn - fp32):.0f} %"


def make_table(rows, results):
    has_words = any("last_words" in results.get(row.name, {}) for row in rows)
    header = ["recipe", "weight scales", "measured on", "perplexity", "to fp32", "bits per byte", "won back"]
    if has_words:
        header += ["last words"]
    lines = ["| " + " | ".join(header) + " |", "|---|---|---|" + "---:|" * (len(header) - 3)]
    fp32 = next((results[row.name] for row in rows if row.recipe == "fp32" and row.name in results), None)
    for row in rows:
        result = results.get(row.name)
        if not result:
            continue
        text = result["text"]
        relative = math.exp(text["loss"] - fp32["text"]["loss"]) if fp32 else math.nan
        scales = "" if row.recipe == "fp32" else f"groups of {row.group}" if row.group else "per channel"
        where = "bundle in the emulator" if "emulator" in result["device"] else result["device"]
        cells = [
            f"`{row.recipe}`" if row.recipe != "fp32" else "fp32",
            scales,
            where,
            f"{text['perplexity']:.3f}",
            f"x {relative:.3f}",
            f"{text['bits_per_byte']:.4f}",
            won_back(row, result, results),
        ]
        if has_words:
            words = result.get("last_words")
            cells.append(f"{100 * words['accuracy']:.1f} %" if words else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_page(rows, results, page):
    with open(page, encoding="utf-8") as file:
        text = file.read()
    for table in dict.fromkeys(row.table for row in rows):
        of_table = [row for row in rows if row.table == table]
        begin = f"<!-- table: {table} -->\n"
        if not any(row.name in results for row in of_table) or begin not in text:
            continue
        body = make_table(of_table, results)
        pattern = re.escape(begin) + r".*?<!-- end -->"
        text = re.sub(pattern, lambda _: f"{begin}\n{body}\n\n<!-- end -->", text, flags=re.DOTALL)
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)
    with open(results_file(page), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("bin", "data", "work"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--smollm2", default="")
    parser.add_argument("--page", default="")
    parser.add_argument("--only", default="*")
    parser.add_argument("--groups", default="", help="group sizes to measure as well: 128,64")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--reference", action="store_true")
    args = parser.parse_args()
    groups = {int(group) for group in args.groups.split(",") if group}
    groups |= {result["group_size"] for result in known_results(args).values()} - {0}
    rows = all_rows(sorted(groups, reverse=True))
    os.makedirs(args.work, exist_ok=True)
    for row in rows:
        if not fnmatch.fnmatchcase(row.name, args.only) or (row.model == "SmolLM2-135M" and not args.smollm2):
            continue
        if args.list:
            print(row.name)
            for _, command in row.commands(args):
                print("  " + shlex.join(command))
            continue
        result_path = result_file(row, args, args.reference)
        if os.path.exists(result_path) and not args.again:
            continue
        print(row.name, flush=True)
        result = measure(row, args)
        print(f"  perplexity {result['text']['perplexity']:.4f}", flush=True)
        with open(result_path, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    if args.page and not args.list:
        write_page(rows, read_results(rows, args), args.page)


if __name__ == "__main__":
    main()
