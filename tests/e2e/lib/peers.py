"""The peers' own test suites, as far as they lie beside the checkout (../shared/conformance), and what was reached.

The counts are printed; floor.json holds what was reached, and only falling below it fails. Raise it with every gain.
"""
import json
import os
import pathlib

import plain_user
import workspace
from expect import NoData, expect

DATA = pathlib.Path(os.environ.get("IMGBUILD_CONFORMANCE", workspace.TOP.parent / "shared" / "conformance"))
FLOOR = workspace.TOP / "tests" / "e2e" / "conformance" / "floor.json"
BUILD_TOPICS = ("07-build", "08-build-buildah", "12-cache")
TABLE_TOPICS = ("01-dockerfile-parse", "02-words", "03-instructions", "04-ignore", "05-reference", "06-platform",
                "09-realworld", "11-lint")


def require_data():
    """Where the data are, readable by whoever builds."""
    if not (DATA / "runner").is_dir():
        raise NoData(f"there is no {DATA / 'runner'}")
    return pathlib.Path(plain_user.readable(DATA))


def run_suite(ws, program, topics, *arguments):
    """{topic: (passed, total)}; prints the runner's own table and what fails. It is run by the plain user, if there is one."""
    data = require_data()
    counts = {}
    for topic in topics:
        report = ws.path / f"{topic}.json"
        plain_user.own(ws.path)
        done = ws.run(*plain_user.prefix(), "python3", "-B", data / "runner" / program, "--imgbuild", workspace.binary(), "--data",
                      data, "--topic", topic, "--json", report, *arguments, timeout=1100)
        print(done.out, end="", flush=True)
        result = json.loads(report.read_text())
        print_failed(result["cases"])
        sets = result["sets"].values()
        counts[topic] = (sum(entry["passed"] for entry in sets), sum(entry["total"] for entry in sets))
    return counts


def print_failed(cases):
    """Which cases fail, why, and the last that the builder said: a case that fails once in a hundred runs has to tell it then."""
    for case in cases:
        if not case["passed"]:
            print(f"       {case['set']}/{case['name']}: {case.get('reason', 'failed')}")
            for line in (case.get("stderr") or "").splitlines()[-20:]:
                print(f"         | {line}", flush=True)


def run_builds(ws):
    """The suites of builds."""
    base = ws.path / "base" if plain_user.name() else workspace.CACHE / "conformance-base"
    return run_suite(ws, "builds.py", BUILD_TOPICS, "--jobs", "2", "--timeout", "60", "--base-cache", base, "--stderr")


def require_floor(counts):
    floor = json.loads(FLOOR.read_text())
    for topic, (passed, total) in counts.items():
        print(f"       {topic}: {passed} of {total} (floor {floor[topic]})", flush=True)
    below = {topic: passed for topic, (passed, _) in counts.items() if passed < floor[topic]}
    expect(not below, f"below the floor: {below}; tests/e2e/conformance/floor.json says {floor}")
