"""Builds that end badly, and what must hold for their store: nothing finished is lost, nothing is half there, and the next
build is good. For tests/e2e/battered and tests/support/kill_loop.py.
"""
import hashlib
import json
import os
import pathlib
import random
import sqlite3

import machine
import oci
from expect import Failure, equal, expect

STAGE = """\
FROM busybox AS stage{n}
ARG ROUND
RUN echo "$ROUND" > /round && for i in $(seq 100); do mkdir -p /a/$i && echo $i > /a/$i/f; done && chown -R {n}:{n} /a
RUN head -c 4000000 /dev/zero > /zeros && rm -r /a/1*
COPY . /context
RUN cat /context/f* > /all && mv /a /b
"""
FINAL = """\
FROM busybox
COPY --from=stage1 /all /b /one/
COPY --from=stage2 /all /b /two/
COPY --from=stage3 /all /b /three/
COPY --from=stage4 /all /b /four/
RUN rm -r /one/2*
"""
BUILDFILE = "".join(STAGE.format(n=n) for n in range(1, 5)) + FINAL


def dice(ws, variable="IMGBUILD_BATTERED_SEED"):
    """A random generator whose seed is from the environment or new, and printed."""
    seed = int(os.environ.get(variable) or int.from_bytes(os.urandom(4), "big"))
    print(f"       {variable}={seed}", flush=True)
    return random.Random(seed)


def rounds(usual):
    """How often something is tried: IMGBUILD_BATTERED_ROUNDS times (tools/ci.sh --full), else as the gate has time for."""
    return int(os.environ.get("IMGBUILD_BATTERED_ROUNDS") or usual)


def finished_steps(log, cached=None):
    """The instructions with their stages that a JSON progress says are done; with `cached`, only those (not) cached."""
    found = set()
    for line in log.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the last line of a killed build may be cut
        if event.get("event") == "finished" and event["outcome"] in ("done", "cached") and event.get("stage"):
            # A FROM looks its image up each time, which is no work to lose.
            if not event["instruction"].startswith("FROM") and (cached is None or event["cached"] == cached):
                found.add((event["stage"], event["instruction"]))
    return found


def require_kept(told, log):
    """What a build that ended badly told to be done is in the cache of the next one."""
    lost = finished_steps(told) - finished_steps(log, cached=True)
    expect(not lost, f"these steps had been done, and were done again: {sorted(lost)}")


def require_whole(store):
    """Every row of a store's index has its whole object, every object its row, and nothing unfinished lies about."""
    store = pathlib.Path(store)
    index = sqlite3.connect(store / "index.db")
    try:
        equal(index.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "the index's integrity")
        layers = {name for (name,) in index.execute("SELECT id FROM layers")}
        blobs = {bytes(digest).hex(): size for digest, size in index.execute("SELECT digest, size FROM blobs")}
        loose = index.execute("SELECT count(*) FROM keys WHERE layer_id NOT IN (SELECT id FROM layers)").fetchone()[0]
    finally:
        index.close()
    equal(loose, 0, "keys without a layer")
    equal(set(os.listdir(store / "layers")), layers, "layers on the disk and in the index")
    equal(set(os.listdir(store / "blobs/sha256")), set(blobs), "blobs on the disk and in the index")
    for name in layers:
        names = (store / "layers" / name / "names").read_bytes()
        equal(hashlib.sha256(names[:-32]).digest(), names[-32:], f"the checksum of the names of layer {name}")
        expect((store / "layers" / name / "tree").is_dir(), f"layer {name} has no tree")
    for name, size in blobs.items():
        content = (store / "blobs/sha256" / name).read_bytes()
        equal((len(content), hashlib.sha256(content).hexdigest()), (size, name), "a blob")
    equal(machine.unfinished(store), [], "what is left in the store's tmp")


def require_clear_end(done, codes):
    """An error with one of these exit codes; no crash, and nothing that a sanitizer has to say."""
    expect(done.code in codes, f"exit code {done.code}, not one of {codes}\n{done.story()}")
    for word in ("Sanitizer", "runtime error", "terminate called", "internal."):
        if word in done.err:
            raise Failure(f"{word!r} in\n{done.story()}")
    expect(done.code == 0 or "error" in done.err, f"no word about what is wrong\n{done.story()}")


def manifest_digest(archive):
    return oci.load(archive).digest
