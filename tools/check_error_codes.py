#!/usr/bin/env python3
"""Check that docs/errors.md lists the error codes of the sources: all of them, and no others.

  tools/check_error_codes.py [--root DIR]      exit 1 and one line per code that is missing on either side
"""
import argparse
import pathlib
import re
import sys

ROOMS = ("include", "util", "oci", "parser", "layers", "registry", "builder", "cli")
AREAS = ("build", "cancelled", "check", "corrupt", "internal", "io", "layers", "lock", "machine", "parse", "registry", "resources",
         "sandbox", "source", "store", "usage", "verify")
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    sources = codes_of_sources(root)
    documented = set(IN_DOCUMENT.findall((root / "docs" / "errors.md").read_text(encoding="utf-8")))
    for code in sorted(sources.keys() - documented):
        print(f"{sources[code]}: '{code}' is not in docs/errors.md")
    for code in sorted(documented - sources.keys()):
        print(f"docs/errors.md: '{code}' is used nowhere")
    return 1 if sources.keys() != documented else 0


if __name__ == "__main__":
    sys.exit(main())
