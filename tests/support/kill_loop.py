#!/usr/bin/env python3
"""Kill builds at random moments and see that nothing is lost, corrupted or left behind.

  tests/support/kill_loop.py [--rounds 40] [--seed N]

All rounds share one store. Each starts a build and kills its whole process group (SIGKILL) after a random time; no
process and no mount may survive. Then an undisturbed build must give the digest that a fresh store gives. IMGBUILD is
the binary (default: the one built last).
"""
import argparse
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e" / "lib"))

import machine  # noqa: E402
import oci  # noqa: E402
import workspace  # noqa: E402
from expect import Failure, Skip, equal, expect  # noqa: E402

BUILDFILE = """\
FROM busybox AS one
RUN for i in $(seq 300); do mkdir -p /a/$i && echo $i > /a/$i/f; done
RUN head -c 8000000 /dev/zero > /zeros
COPY . /context
FROM busybox AS two
RUN for i in $(seq 300); do echo $i; done > /b && cp /b /c
FROM one
COPY --from=two /c /c
RUN rm -r /a/1*
"""


def build(ws, context, store):
    """(digest, seconds) of an undisturbed build."""
    archive = ws.path / "out.tar"
    started = time.monotonic()
    ws.build(context, "-o", f"type=oci,dest={archive}", env={"IMGBUILD_ROOT": store})
    seconds = time.monotonic() - started
    digest = oci.load(archive).digest
    archive.unlink()
    return digest, seconds


def kill_once(ws, context, store, delay):
    """Starts a build, kills it after `delay` seconds; True if it was still running."""
    process = ws.start(workspace.binary(), "build", "--build-context", f"busybox={ws.busybox()}", "--no-cache",
                       "-o", f"type=oci,dest={ws.path}/killed.tar", context, env={"IMGBUILD_ROOT": store})
    try:
        process.wait(timeout=delay)
        return False
    except subprocess.TimeoutExpired:
        pass
    family = machine.descendants(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    machine.wait_until(lambda: not machine.alive(family), 10, lambda: f"these live on: {machine.alive(family)}")
    machine.wait_until(lambda: not machine.mounts_below(store), 10, lambda: f"mounts: {machine.mounts_below(store)}")
    return True


def run_loop(ws, rounds, dice):
    machine.need_root()
    context = ws.context({"Buildfile": BUILDFILE, **{f"f{n}": f"{n}\n" * 2000 for n in range(60)}})
    wanted, seconds = build(ws, context, ws.path / "fresh")
    store, killed = ws.path / "battered", 0
    for number in range(1, rounds + 1):
        killed += kill_once(ws, context, store, dice.uniform(0, seconds))
        if number % 10 == 0:
            equal(build(ws, context, store)[0], wanted, f"the digest after {number} rounds")
            print(f"{number} rounds, {killed} killed in time, digest as from a fresh store", flush=True)
    equal(build(ws, context, store)[0], wanted, "the digest in the end")
    equal(machine.unfinished(store), [], "what is left in the store's tmp")
    expect(killed > rounds // 5, f"only {killed} of {rounds} builds were killed in time: the loop shows nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    print(f"seed {args.seed}")
    ws = workspace.Workspace("kill-loop")
    try:
        run_loop(ws, args.rounds, random.Random(args.seed))
    except (Failure, Skip) as problem:
        print(problem, file=sys.stderr)
        return 1
    finally:
        ws.close()
    print("nothing lost, nothing left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
