"""A store that things go wrong in: any write fails, the disk is full, fifty builds and two prunings at once.

IMGBUILD_BATTERED_ROUNDS tries more often than the gate has time for (0: every write), IMGBUILD_BATTERED_SEED repeats a run.
"""
import errno
import os
import struct

import battered
import machine
import workspace
from expect import Failure, contains, equal, expect

BUILDFILE = """\
FROM busybox AS one
ARG ROUND=0
RUN echo "$ROUND" > /round && for i in $(seq 20); do mkdir -p /a/$i && echo $i > /a/$i/f; done && mkfifo /p && ln /p /q
COPY . /context
FROM busybox
COPY --from=one /a /context /here/
RUN rm -r /here/1* && ln -s f1 /here/l
"""
SHIM = workspace.TOP / "tests/support/fault_shim.c"
# 1: a step saw it, 10 and 11: a registry's or a base's bytes are concerned, 12: the store, 102: the disk is full.
CODES = (1, 10, 11, 12, 102)


class Subject:
    """A build whose store and outputs lie in one directory, and how it is done."""

    def __init__(self, ws, disk):
        self.ws, self.disk = ws, disk
        disk.mkdir(exist_ok=True)
        self.context = ws.context({"Buildfile": BUILDFILE, "big": bytes(range(256)) * 8000, **{f"f{n}": f"{n}\n" * 99 for n in range(20)}})
        self.store = disk / "store"

    def build(self, code=0, env=None, number=0, archive=None):
        archive = archive or self.disk / "out.tar"
        return self.ws.imgbuild("build", "--progress", "json", "--build-context", f"busybox={self.ws.busybox()}", "--build-arg",
                                f"ROUND={number}", "-t", f"app:{number}", "-o", f"type=oci,dest={archive}", self.context, code=code,
                                env={"IMGBUILD_ROOT": self.store, **(env or {})})

    def clear(self):
        self.ws.run("rm", "-rf", self.store, self.disk / "out.tar")

    def require_good(self, told, wanted):
        """After a build that told this: its work is kept, and another one gives the right image and leaves a whole store."""
        left = sorted(path.name for path in self.disk.iterdir() if path.name not in ("store", "out.tar", "lost+found", "ballast"))
        equal(left, [], "what is left beside the store")
        good = self.build()
        battered.require_kept(told, good.err)
        equal(battered.manifest_digest(self.disk / "out.tar"), wanted, "the digest")
        battered.require_whole(self.store)


class Faults:
    """tests/support/fault_shim.c, compiled."""

    def __init__(self, ws, under):
        machine.need("cc")
        self.library, self.counter, self.under = ws.path / "shim.so", ws.path / "counter", under
        ws.run("cc", "-shared", "-fPIC", "-O1", "-o", self.library, SHIM, "-ldl")

    def env(self, at, error=errno.ENOSPC, lasts=False):
        self.counter.write_bytes(bytes(8))
        sanitizer = "verify_asan_link_order=0:detect_leaks=0"
        return {"LD_PRELOAD": self.library, "FAULT_UNDER": self.under, "FAULT_COUNTER": self.counter, "FAULT_AT": at,
                "FAULT_ERRNO": error, "FAULT_LASTS": int(lasts), "ASAN_OPTIONS": sanitizer}

    def count(self):
        return struct.unpack("Q", self.counter.read_bytes())[0]


def test_failing_writes(ws):
    """The N-th write, or all from the N-th on, fail: a clear error or the right image; the store is whole, the next build good."""
    machine.need_root()
    subject = Subject(ws, ws.path / "disk")
    faults = Faults(ws, subject.disk)
    subject.build(env=faults.env(0))
    total, wanted = faults.count(), battered.manifest_digest(subject.disk / "out.tar")
    expect(total > 100, f"only {total} writes were seen")
    dice, rounds = battered.dice(ws), battered.rounds(6)
    places = range(1, total + 1) if rounds == 0 else sorted(dice.sample(range(1, total + 1), min(rounds, total)))
    failed = 0
    for place in places:
        error, lasts = dice.choice([errno.ENOSPC, errno.ENOSPC, errno.EIO, errno.EDQUOT]), dice.random() < .5
        subject.clear()
        done = subject.build(code=None, env=faults.env(place, error, lasts))
        try:
            battered.require_clear_end(done, (0, *CODES))
            if done.code == 0:
                equal(battered.manifest_digest(subject.disk / "out.tar"), wanted, "the digest of the build with the fault")
            failed += done.code != 0
            subject.require_good(done.err, wanted)
        except Failure as failure:
            raise Failure(f"write {place} of {total}, error {errno.errorcode[error]}{', lasting' if lasts else ''}\n"
                          f"{failure}\nthe build with the fault:\n{done.story()}") from None
    print(f"       {len(places)} of {total} writes, {failed} builds failed", flush=True)
    expect(failed > 0, "no build failed: the test shows nothing")


def small_disk(ws, megabytes):
    """A mounted ext4 of its own; goes with the workspace."""
    machine.need("mkfs.ext4", "mount")
    image, point = ws.path / "disk.img", ws.path / "disk"
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    ws.run("mkfs.ext4", "-q", "-m", "0", image)
    point.mkdir()
    ws.run("mount", "-o", "loop", image, point)
    return point


def fill(disk, free):
    """Leaves about so many bytes of the disk free."""
    status = os.statvfs(disk)
    with open(disk / "ballast", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - free)


def used(disk):
    status = os.statvfs(disk)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def test_full_disk(ws):
    """A disk that fills up at a random moment: a clear error; with room again the work is kept and the next build good."""
    machine.need_root()
    disk = small_disk(ws, 64)
    subject = Subject(ws, disk)
    empty = used(disk)
    subject.build()
    needed, wanted = used(disk) - empty, battered.manifest_digest(disk / "out.tar")
    dice, failed = battered.dice(ws), 0
    rounds = battered.rounds(3)
    for _ in range(rounds or 100):
        subject.clear()
        free = int(dice.uniform(0, needed))
        fill(disk, free)
        done = subject.build(code=None)
        try:
            battered.require_clear_end(done, (0, *CODES))
            failed += done.code != 0
            (disk / "ballast").unlink()
            subject.require_good(done.err, wanted)
        except Failure as failure:
            raise Failure(f"{free} of {needed} bytes were free\n{failure}\nthe build on the full disk:\n{done.story()}") from None
    expect(failed > 0, "no build failed: the test shows nothing")


def test_step_fills_disk(ws):
    """A command that fills the disk fails as itself, and the hint says why."""
    machine.need_root()
    disk = small_disk(ws, 32)
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo begun && cat /dev/zero > /zeros\n"})
    done = ws.imgbuild("build", "--build-context", f"busybox={ws.busybox()}", context, code=1, env={"IMGBUILD_ROOT": disk / "store"})
    contains(done.err, "No space left on device", "Buildfile:2", "hint: the disk of the store is full (", "imgbuild prune")
    battered.require_whole(disk / "store")


def test_fifty_builds(ws):
    """Fifty builds at once on one store, while two others prune it again and again: each gives its image."""
    machine.need_root()
    subject = Subject(ws, ws.path / "disk")
    subject.build()
    wanted = {0: battered.manifest_digest(subject.disk / "out.tar")}
    for number in (1, 2, 3):
        subject.build(number=number)
        wanted[number] = battered.manifest_digest(subject.disk / "out.tar")
    subject.clear()
    # The file goes with the workspace as well, so that no loop outlives a test that is killed.
    script = 'while [ -e "$1" ]; do "$0" prune || exit; done'
    env = {"IMGBUILD_ROOT": subject.store}
    going_on = ws.path / "going-on"
    going_on.touch()
    builds = [(number % 4, ws.start(workspace.binary(), "build", "--progress", "plain", "--build-context", f"busybox={ws.busybox()}",
                                    "--build-arg", f"ROUND={number % 4}", "-o", f"type=oci,dest={subject.disk / f'{number}.tar'}",
                                    subject.context, env=env)) for number in range(50)]
    pruning = [ws.start("sh", "-c", script, workspace.binary(), going_on, env=env) for _ in range(2)]
    try:
        for number, (kind, build) in enumerate(builds):
            code = build.wait(timeout=300)
            equal(code, 0, f"the exit code of build {number}\n{build.log.read_text(errors='replace')}")
            equal(battered.manifest_digest(subject.disk / f"{number}.tar"), wanted[kind], f"the digest of build {number}")
    finally:
        going_on.unlink()
    for process in pruning:
        equal(process.wait(timeout=60), 0, f"the exit code of a pruning\n{process.log.read_text(errors='replace')}")
    subject.build(archive=ws.path / "last.tar")
    equal(battered.manifest_digest(ws.path / "last.tar"), wanted[0], "the digest in the end")
    battered.require_whole(subject.store)
