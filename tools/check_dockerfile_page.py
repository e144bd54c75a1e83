#!/usr/bin/env python3
"""Check that docs/dockerfile.md tells of every ID of the compatibility table, with tests that are there.

  tools/check_dockerfile_page.py [--root DIR]     exit 1 and one line per problem
  tools/check_dockerfile_page.py --self-test      check this program against tables that are wrong on purpose

A row is `| ID | what | state | tests |`. A state is supported, differs or not yet, and may go on behind a semicolon for a
part. Tests are in backticks: unit/ROOM/FILE: NAME OF A TEST_CASE, or e2e/CASE: FUNCTION.
"""
import argparse
import pathlib
import re
import sys

# Section -> number of its last row.
SECTIONS = {"A1": 17, "A2": 5, "A3": 9, "A4": 7, "A5": 26, "A6": 9, "A7": 9, "A8": 8, "A9": 8}
ROW = re.compile(r"^\| *(A[1-9]\.\d\d) *\|")
STATE = re.compile(r"^(supported|(differs|not yet)(: .+)?)(; (supported|differs|not yet)(: .+)?)*$")
UNIT = re.compile(r"^unit/([a-z/]+)/(\w+): (.+)$")
E2E = re.compile(r"^e2e/(\w+): (test_\w+)$")
CASE_NAME = r'TEST_CASE(?:_METHOD)?\((?:\s*\w+,)?\s*((?:"(?:[^"\\]|\\.)*"\s*)+)'


def all_ids():
    return [f"{section}.{number:02}" for section, last in SECTIONS.items() for number in range(1, last + 1)]


def names_of_cases(source):
    """The names of the TEST_CASEs of a C++ source; literals that stand beside each other are one name."""
    names = set()
    for literals in re.findall(CASE_NAME, source):
        pieces = re.findall(r'"((?:[^"\\]|\\.)*)"', literals)
        names.add(re.sub(r"\\(.)", r"\1", "".join(pieces)))
    return names


class Tests:
    """What tests there are below a root; each file is read once."""

    def __init__(self, root):
        self.root = root
        self.cases = {}

    def problem(self, reference):
        """Why `reference` names no test; None if it does."""
        unit = UNIT.match(reference)
        if unit:
            return self.find(f"tests/unit/{unit[1]}/{unit[2]}_test.cpp", unit[3], names_of_cases)
        e2e = E2E.match(reference)
        if e2e:
            return self.find(f"tests/e2e/{e2e[1]}/test.py", e2e[2], lambda s: set(re.findall(r"^def (test_\w+)", s, re.M)))
        return f"'{reference}' is neither unit/ROOM/FILE: NAME nor e2e/CASE: FUNCTION"

    def find(self, file, name, names):
        if file not in self.cases:
            path = self.root / file
            self.cases[file] = names(path.read_text(encoding="utf-8")) if path.is_file() else None
        if self.cases[file] is None:
            return f"there is no {file}"
        return None if name in self.cases[file] else f"{file} has no test '{name}'"


def cells_of(line):
    """The cells of a table row; a | with a backslash before it is text."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def problems_of(page, tests):
    expected = all_ids()
    found = []
    for number, line in enumerate(page.splitlines(), 1):
        row = ROW.match(line)
        if not row:
            continue
        found.append(row[1])
        cells = cells_of(line)
        if len(cells) != 4:
            yield number, f"{row[1]} has {len(cells)} cells, not 4"
            continue
        if not STATE.match(cells[2]):
            yield number, f"{row[1]}: the state '{cells[2]}' is not supported, differs or not yet"
        references = re.findall(r"`([^`]+)`", cells[3])
        if not references:
            yield number, f"{row[1]} names no test"
        for reference in references:
            problem = tests.problem(reference)
            if problem:
                yield number, f"{row[1]}: {problem}"
    for identifier in expected:
        if found.count(identifier) != 1:
            yield 0, f"{identifier} stands there {found.count(identifier)} times, not once"
    for identifier in sorted(set(found) - set(expected)):
        yield 0, f"{identifier} is no row of the compatibility table"
    if found != sorted(found):
        yield 0, "the rows are not in order"


def self_test():
    class Always:
        def problem(self, reference):
            return None if reference == "e2e/basics: test_run" else "no such test"

    good = "\n".join(f"| {i} | a \\| b | supported; not yet: x | `e2e/basics: test_run` |" for i in all_ids())
    wrong = {
        "a row is missing": good.replace("| A1.02 |", "| A9.02 |"),
        "a row stands twice": good + "\n" + good.splitlines()[0],
        "an unknown state": good.replace("supported;", "works;", 1),
        "no test": good.replace("`e2e/basics: test_run`", "by hand", 1),
        "a test that is not there": good.replace("test_run", "test_nothing", 1),
        "a cell too many": good.replace("a \\| b", "a | b", 1),
        "the wrong order": "\n".join(reversed(good.splitlines())),
    }
    failed = [] if not list(problems_of(good, Always())) else ["the good table"]
    failed += [name for name, page in wrong.items() if not list(problems_of(page, Always()))]
    if names_of_cases('TEST_CASE("a \\"b\\" " "c") {\nTEST_CASE_METHOD(F, "d") {') != {'a "b" c', "d"}:
        failed.append("names of test cases")
    for name in failed:
        print(f"self-test: {name} is judged wrongly")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    page = options.root / "docs" / "dockerfile.md"
    problems = list(problems_of(page.read_text(encoding="utf-8"), Tests(options.root)))
    for number, problem in problems:
        print(f"docs/dockerfile.md:{number}: {problem}" if number else f"docs/dockerfile.md: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
