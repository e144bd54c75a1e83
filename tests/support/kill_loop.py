#!/usr/bin/env python3
"""Kill builds at random moments and see that nothing is lost, corrupted or left behind.

  tests/support/kill_loop.py [--rounds 40] [--seed N]

All rounds share one store. Each starts a build with four stages at once and kills its process (SIGKILL) after a random
time; no process, mount, namespace or begun work may survive, and the next build of the same round must find every step
cached that the killed one had told to be done. In the end an undisturbed build must give the digest that a fresh store
gives. IMGBUILD is the binary (default: the one built last); IMGBUILD_E2E_USER the plain user who builds, if one shall.
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

import battered  # noqa: E402
import machine  # noqa: E402
import workspace  # noqa: E402
from expect import Failure, Skip, equal, expect  # noqa: E402


def arguments(ws, context, number):
    return ("build", "--progress", "json", "--build-context", f"busybox={ws.busybox()}", "--build-arg", f"ROUND={number}",
            context)


def build(ws, context, store, number):
    """(digest, seconds, log) of an undisturbed build."""
    archive = ws.path / "out.tar"
    started = time.monotonic()
    done = ws.imgbuild(*arguments(ws, context, number), "-o", f"type=oci,dest={archive}", env={"IMGBUILD_ROOT": store})
    seconds = time.monotonic() - started
    digest = battered.manifest_digest(archive)
    archive.unlink()
    return digest, seconds, done.err


def kill_once(ws, context, store, number, delay):
    """Starts a build and kills it after `delay` seconds; what it had told by then, None if it was over before."""
    before = machine.namespaces()
    process = ws.start(workspace.binary(), *arguments(ws, context, number), env={"IMGBUILD_ROOT": store})
    try:
        process.wait(timeout=delay)
        return None
    except subprocess.TimeoutExpired:
        pass
    family = machine.descendants(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    machine.wait_until(lambda: not machine.alive(family), 10, lambda: f"these live on: {machine.alive(family)}")
    machine.wait_until(lambda: not machine.mounts_below(store), 10, lambda: f"mounts: {machine.mounts_below(store)}")
    # Other programs of this machine may have begun meanwhile; only what has a process of ours in it counts.
    machine.wait_until(lambda: not machine.strangers(before, workspace.binary()), 10,
                       lambda: f"namespaces: {machine.strangers(before, workspace.binary())}")
    return process.log.read_text(errors="replace")


def run_loop(ws, rounds, dice):
    machine.need_root()
    context = ws.context({"Buildfile": battered.BUILDFILE, **{f"f{n}": f"{n}\n" * 2000 for n in range(60)}})
    _, seconds, _ = build(ws, context, ws.path / "fresh", 0)
    store, killed, kept, number = ws.path / "battered", 0, 0, 0
    while killed < rounds:
        number += 1
        expect(number <= 10 * rounds, f"only {killed} of {number - 1} builds were killed in time: the loop shows nothing")
        started = time.monotonic()
        told = kill_once(ws, context, store, number, dice.uniform(0, seconds))
        if told is None:
            seconds = min(seconds, time.monotonic() - started)
            continue
        killed += 1
        _, _, log = build(ws, context, store, number)
        battered.require_kept(told, log)
        kept += len(battered.finished_steps(told, cached=False))
        battered.require_whole(store)
        if killed % 10 == 0:
            print(f"{killed} killed, {kept} finished steps all found again", flush=True)
    wanted = build(ws, context, ws.path / "fresh", number + 1)[0]
    equal(build(ws, context, store, number + 1)[0], wanted, "the digest in the end")
    expect(kept > 0, "no build was killed after its first step: the loop shows nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="builds to kill")
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
