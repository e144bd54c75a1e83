"""The same build gives the same bytes: in another store, another place, at another time, cold and warm."""
import contextlib
import os
import shutil
import sqlite3

import oci
from expect import equal, expect

BUILDFILE = """\
FROM busybox AS made
WORKDIR /work
COPY src ./src
RUN mkdir -p out/a out/b && cat src/* > out/a/all && ln out/a/all out/b/all && ln -s ../a/all out/b/link
RUN touch out/now && chmod 4755 out/now && chown 1000:50 out/now
FROM busybox
ARG VERSION=1
ENV VERSION=$VERSION
COPY --from=made /work/out /opt/out
COPY --chown=builder src /src
ADD pack.tar /packed/
RUN rm /opt/out/a/all && echo $VERSION > /version && mkfifo /pipe
USER builder
CMD ["/bin/cat", "/version"]
"""


def checkout(ws, name, mtime, umask_mode):
    """The same sources as another person has them: other place, other times, other order of creation."""
    files = {f"src/{letter}{n}": f"{letter} {n}\n" * 5000 for letter in "abc" for n in range(20)}
    order = sorted(files, reverse=bool(mtime % 2))
    context = ws.context({**{path: files[path] for path in order}, "Buildfile": BUILDFILE}, name=name)
    ws.write("inside", "packed\n")
    os.utime(ws.path / "inside", (1500000000, 1500000000))
    ws.run("tar", "--owner=0", "--group=0", "--mtime=@1500000000", "-cf", context / "pack.tar", "-C", ws.path, "inside")
    for folder, folders, names in os.walk(context):
        for entry in folders + names:
            os.utime(os.path.join(folder, entry), (mtime, mtime))
    os.chmod(ws.path / name, umask_mode)
    return context


def build(ws, context, store, *arguments, output=""):
    """(manifest digest, image id, the archive's bytes)"""
    archive = ws.path / "out.tar"
    ws.build(context, "-o", f"type=oci,dest={archive}{output}", *arguments, env={"IMGBUILD_ROOT": ws.path / store})
    image, content = oci.load(archive), archive.read_bytes()
    archive.unlink()
    return image.digest, image.id, content


def test_two_checkouts_two_stores(ws):
    """Two stores, two checkouts with other times: one digest, and the same archive to the byte."""
    first = build(ws, checkout(ws, "alice", 1000000000, 0o755), "store-a")
    second = build(ws, checkout(ws, "bob/deep/below", 1700000001, 0o750), "store-b")
    equal(second[:2], first[:2], "manifest and image")
    expect(second[2] == first[2], "the archives differ in bytes that no digest covers")


def test_cold_and_warm(ws):
    """Cold, warm, half warm and without cache: one digest."""
    context = checkout(ws, "alice", 1000000000, 0o755)
    cold = build(ws, context, "store")
    equal(build(ws, context, "store")[:2], cold[:2], "warm")
    equal(build(ws, context, "store", "--no-cache")[:2], cold[:2], "without cache")
    half = ws.path / "half"
    ws.build(context, "--target", "made", env={"IMGBUILD_ROOT": half})
    equal(build(ws, context, "half")[:2], cold[:2], "half warm")


def test_jobs(ws):
    """One worker or eight: one digest."""
    context = checkout(ws, "alice", 1000000000, 0o755)
    equal(build(ws, context, "one", "--jobs", "1")[:2], build(ws, context, "eight", "--jobs", "8")[:2], "the image")


def test_repacked(ws):
    """A big file with a change in its middle: with blocks of before it is the same archive as without."""
    lines = [f"{i} is {i * 0x9e3779b97f4a7c15 % 2 ** 64:x}" for i in range(200_000)]
    context = ws.context({"Buildfile": "FROM scratch\nCOPY big /\n"})
    for compression in ("gzip", "zstd"):
        output = f",compression={compression}"
        lines[100_000] = "as it was"
        (context / "big").write_text("\n".join(lines))
        before = build(ws, context, "warm", output=output)
        lines[100_000] = "as it is."
        (context / "big").write_text("\n".join(lines))
        after = build(ws, context, "warm", output=output)
        expect(after[0] != before[0], "the change is not in the image")
        expect(after == build(ws, context, "cold-" + compression, output=output), "blocks of before make another archive")
    with contextlib.closing(sqlite3.connect(ws.path / "warm" / "index.db")) as index:
        known = index.execute("SELECT count(*), count(DISTINCT digest) FROM blocks GROUP BY codec_id").fetchall()
    # Five of 1 MiB. The second blob took over all but that of the change, and the first, unless its times are the same.
    expect(len(known) == 2 and all(blocks in (6, 7) and blobs == 2 for blocks, blobs in known), f"blocks, blobs: {known}")


def test_moved_store(ws):
    """A store that was moved goes on where it was."""
    context = checkout(ws, "alice", 1000000000, 0o755)
    before = build(ws, context, "store")
    shutil.move(ws.path / "store", ws.path / "moved")
    equal(build(ws, context, "moved")[:2], before[:2], "the image")


def test_epoch(ws):
    """SOURCE_DATE_EPOCH sets the image's time, from the flag or the environment, and is in no earlier layer."""
    context = checkout(ws, "alice", 1000000000, 0o755)
    plain = build(ws, context, "store")
    flag = build(ws, context, "store", "--source-date-epoch", "1893456000")
    expect(flag[1] != plain[1], "the image time is not in the config")
    archive = ws.path / "env.tar"
    ws.build(context, "-o", f"type=oci,dest={archive}", env={"IMGBUILD_ROOT": ws.path / "store",
                                                             "SOURCE_DATE_EPOCH": "1893456000"})
    image = oci.load(archive)
    equal(image.id, flag[1], "flag against environment")
    equal(image.config["created"], "2030-01-01T00:00:00Z", "created")
