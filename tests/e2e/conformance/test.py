"""The peers' own test suites, as far as they lie beside the checkout (../shared/conformance).

The counts are printed; floor.json holds what was reached, and only falling below it fails. Raise it with every gain.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shutil
import sys

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


# What a step of these writes is different each time, whoever builds: the time of day, numbers of processes.
NOT_THE_SAME_TWICE = ()


def digests_of(runner, folder):
    """The archives' digests: cold, again from another checkout, and in a store that other cases fill from a third one."""
    case, expected = (json.loads((folder / name).read_text()) for name in ("case.json", "expect.json"))
    if not expected["ok"] or expected.get("volatile_content") or folder.name in NOT_THE_SAME_TWICE:
        return None
    work = pathlib.Path(runner.args.work) / f"{folder.parent.name}-{folder.name}"
    found = []
    try:
        for tag, store in (("cold", work / "store"), ("warm/in/another/place", work / "store"),
                           ("elsewhere", work.parent / "common-store")):
            store.mkdir(parents=True, exist_ok=True)
            code, _, _, err, out = runner.build(str(work), tag, (folder / "Dockerfile").read_bytes(), case, case["context"],
                                                str(store))
            if code != 0:
                return None  # test_builds counts it
            found.append(hashlib.sha256(pathlib.Path(out).read_bytes()).hexdigest())
        return found
    finally:
        # Hundreds of stores at once would take minutes to delete.
        shutil.rmtree(work)


def test_digests(ws):
    """Every build case has one digest: cold, warm, from other checkouts with other times, in another store."""
    if not (DATA / "runner").is_dir():
        raise NoData(f"there is no {DATA / 'runner'}")
    sys.path.insert(0, str(DATA / "runner"))
    import builds
    import fixtures
    base = fixtures.make_base(str(DATA), str(workspace.CACHE / "conformance-base"))
    args = argparse.Namespace(imgbuild=workspace.binary(), work=str(ws.path / "digests"), env=[], root="case", no_net=False,
                              timeout=120)
    os.makedirs(args.work)
    runner = builds.Runner(args, base)
    folders = [folder for topic in BUILD_TOPICS for folder in sorted((DATA / topic).glob("*/*")) if (folder / "case.json").exists()]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = dict(zip([f"{folder.parent.name}/{folder.name}" for folder in folders],
                           pool.map(lambda folder: digests_of(runner, folder), folders)))
    compared = {name: found for name, found in results.items() if found}
    print(f"       {len(compared)} cases", flush=True)
    different = [f"{name}: {', '.join(digest[:12] for digest in found)}" for name, found in compared.items() if len(set(found)) > 1]
    expect(not different, f"{len(different)} cases have several digests (cold, warm, elsewhere)\n" + "\n".join(different))
