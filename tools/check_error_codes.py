#!/usr/bin/env python3
"""Check that docs/errors.md lists the error codes of the sources, all of them and no others, and their exit codes.

  tools/check_error_codes.py [--root DIR]      exit 1 and one line per code that is missing on either side
"""
import argparse
import pathlib
import re
import sys

ROOMS = ("include", "util", "oci", "parser", "layers", "registry", "builder", "cli")
AREAS = ("build", "cancelled", "check", "corrupt", "internal", "io", "layers", "lock", "machine", "parse", "registry", "resources",
         "sandbox", "source", "store", "usage", "verify", "worker")
IN_SOURCE = re.compile(r'"((?:%s)\.[a-z0-9]+(?:-[a-z0-9]+)*)"' % "|".join(AREAS))
IN_DOCUMENT = re.compile(r"`((?:%s)\.[a-z0-9-]+)`" % "|".join(AREAS))


def codes_of_sources(root):
    """code -> file:line of its first use. Comments that explain a code count as well, tests do not."""
    found = {}
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.[ch]pp")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                for code in IN_SOURCE.findall(line):
                    found.setdefault(code, f"{path.relative_to(root)}:{number}")
    return found


def exit_codes_of_sources(root):
    """area -> exit code, from the one table in cli/exit_code.cpp."""
    numbers = dict(re.findall(r"(k\w+) = (\d+),", (root / "cli" / "exit_code.hpp").read_text(encoding="utf-8")))
    table = re.findall(r'\{"(\w+)", (k\w+)\}', (root / "cli" / "exit_code.cpp").read_text(encoding="utf-8"))
    return {area: numbers[name] for area, name in table}


def exit_codes_of_document(text):
    """The same from the table of exit codes: "| 10 | … | `registry.…` |"."""
    rows = re.findall(r"^\| ([0-9, ]+) \|.*\| ([^|]*) \|$", text, re.M)
    return {area: numbers.split(",")[0].strip() for numbers, areas in rows for area in re.findall(r"`(\w+)\.…`", areas)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    sources = codes_of_sources(root)
    text = (root / "docs" / "errors.md").read_text(encoding="utf-8")
    documented = set(IN_DOCUMENT.findall(text))
    for code in sorted(sources.keys() - documented):
        print(f"{sources[code]}: '{code}' is not in docs/errors.md")
    for code in sorted(documented - sources.keys()):
        print(f"docs/errors.md: '{code}' is used nowhere")
    said, done = exit_codes_of_document(text), exit_codes_of_sources(root)
    for area in sorted(done.keys() | said.keys()):
        if done.get(area) != said.get(area):
            print(f"docs/errors.md: '{area}.…' ends with exit code {done.get(area)}, not {said.get(area)}")
    return 1 if sources.keys() != documented or said != done else 0


if __name__ == "__main__":
    sys.exit(main())
