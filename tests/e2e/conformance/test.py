"""The peers' own test suites, as far as they lie beside the checkout (../shared/conformance).

The counts are printed; floor.json holds what was reached, and only falling below it fails. Raise it with every gain.
"""
import json
import os
import pathlib

import workspace
from expect import NoData, expect

DATA = pathlib.Path(os.environ.get("IMGBUILD_CONFORMANCE", workspace.TOP.parent / "shared" / "conformance"))
FLOOR = pathlib.Path(__file__).with_name("floor.json")
BUILD_TOPICS = ("07-build", "08-build-buildah")
TABLE_TOPICS = ("01-dockerfile-parse", "02-words", "03-instructions", "04-ignore", "05-reference", "06-platform",
                "09-realworld", "11-lint")


def run_suite(ws, program, topics, *arguments):
    """{topic: (passed, total)}; prints the runner's own table."""
    runner = DATA / "runner" / program
    if not runner.is_file():
        raise NoData(f"there is no {runner}")
    counts = {}
    for topic in topics:
        report = ws.path / f"{topic}.json"
        done = ws.run("python3", "-B", runner, "--imgbuild", workspace.binary(), "--data", DATA, "--topic", topic, "--json",
                      report, *arguments, timeout=1100)
        print(done.out, end="", flush=True)
        sets = json.loads(report.read_text())["sets"].values()
        counts[topic] = (sum(entry["passed"] for entry in sets), sum(entry["total"] for entry in sets))
    return counts


def require_floor(counts):
    floor = json.loads(FLOOR.read_text())
    for topic, (passed, total) in counts.items():
        print(f"       {topic}: {passed} of {total} (floor {floor[topic]})", flush=True)
    below = {topic: passed for topic, (passed, _) in counts.items() if passed < floor[topic]}
    expect(not below, f"below the floor: {below}; tests/e2e/conformance/floor.json says {floor}")


def test_tables(ws):
    """Parsing, words, instructions, ignore rules, names, real files and checks: not fewer cases pass than before."""
    require_floor(run_suite(ws, "tables.py", TABLE_TOPICS))


def test_builds(ws):
    """Builds recorded from BuildKit: not fewer cases pass than before."""
    require_floor(run_suite(ws, "builds.py", BUILD_TOPICS, "--jobs", "2", "--timeout", "60", "--base-cache",
                            workspace.CACHE / "conformance-base"))
