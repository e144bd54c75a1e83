"""The peers' own test suites, as root."""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shutil
import sys

import peers
import workspace
from expect import expect


def test_tables(ws):
    """Parsing, words, instructions, ignore rules, names, real files and checks: not fewer cases pass than before."""
    peers.require_floor(peers.run_suite(ws, "tables.py", peers.TABLE_TOPICS))


def test_builds(ws):
    """Builds recorded from BuildKit: not fewer cases pass than before."""
    peers.require_floor(peers.run_builds(ws))


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
    data = peers.require_data()
    sys.path.insert(0, str(data / "runner"))
    import builds
    import fixtures
    base = fixtures.make_base(str(data), str(workspace.CACHE / "conformance-base"))
    args = argparse.Namespace(imgbuild=workspace.binary(), work=str(ws.path / "digests"), env=[], root="case", no_net=False,
                              timeout=120)
    os.makedirs(args.work)
    runner = builds.Runner(args, base)
    folders = [folder for topic in peers.BUILD_TOPICS for folder in sorted((data / topic).glob("*/*")) if (folder / "case.json").exists()]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = dict(zip([f"{folder.parent.name}/{folder.name}" for folder in folders],
                           pool.map(lambda folder: digests_of(runner, folder), folders)))
    compared = {name: found for name, found in results.items() if found}
    print(f"       {len(compared)} cases", flush=True)
    different = [f"{name}: {', '.join(digest[:12] for digest in found)}" for name, found in compared.items() if len(set(found)) > 1]
    expect(not different, f"{len(different)} cases have several digests (cold, warm, elsewhere)\n" + "\n".join(different))
