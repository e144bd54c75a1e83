"""The store as its owner sees it: what it takes of the disk, making room, upgrades."""
import os
import sqlite3
import subprocess
import time

import machine
import oci
from expect import contains, equal, expect, lacks, matches
from workspace import binary

BUILDFILE = """FROM busybox
RUN head -c 300000 /dev/urandom > /random && ln /random /again
RUN --mount=type=cache,target=/cache head -c 200000 /dev/urandom > /cache/kept
"""


def disk_use(path):
    """What du(1) says, in bytes."""
    return int(subprocess.run(["du", "-s", "-B1", path], check=True, stdout=subprocess.PIPE).stdout.split()[0])


def sql(ws, text):
    """Changes the index behind the store's back."""
    with sqlite3.connect(ws.root / "index.db") as index:
        index.executescript(text)
    index.close()


def usage(ws, *arguments):
    return ws.imgbuild("du", "--json", *arguments).json()


def of_type(report, kind):
    return [row for row in report["objects"] if row["type"] == kind]


def test_du(ws):
    """`du` tells what the store takes by kind, as du(1) counts it, and what could go."""
    context = ws.context({"Buildfile": BUILDFILE})
    ws.build(context, "-t", "app:1", "-o", "type=oci,dest=app.tar")
    report = usage(ws)
    for kind, place in (("layer", "layers"), ("blob", "blobs/sha256")):
        for row in of_type(report, kind):
            equal(row["bytes"], disk_use(ws.root / place / row["id"].removeprefix("sha256:")), f"the size of {row}")
    mount, = of_type(report, "mount")
    equal(mount["bytes"], disk_use(ws.root / "mounts" / mount["id"] / "data"), "the size of the cache mount")
    equal(sum(row["bytes"] for row in report["objects"]) + report["index"] + report["work"], report["bytes"], "the sum")
    expect(abs(report["bytes"] - disk_use(ws.root)) < 200_000, f"{report['bytes']} is far from {disk_use(ws.root)}")
    equal([row["names"] for row in of_type(report, "image")], [["docker.io/library/app:1"]], "the images")
    equal(report["types"]["blob"]["reclaimable"], 0, "what of the image's blobs can go")
    what = [row["description"] for row in of_type(report, "layer")]
    expect(any(text.startswith("RUN head -c 300000") for text in what), f"the command is not told: {what}")

    table = ws.imgbuild("du", "-v").out
    matches(table, r"(?m)^TYPE +ID +SIZE +STATE +LAST USED +WHAT$")
    matches(table, r"(?m)^image +\w{12} +- +needed +\S+ +app:1$")
    matches(table, r"(?m)^TYPE +TOTAL +IN USE +SIZE +SHARED +RECLAIMABLE +LAST USED$")
    matches(table, r"(?m)^total: .* of which .* can be reclaimed$")


def test_du_filters(ws):
    """`du --filter` picks objects; a filter that there is not is an error that names those that there are."""
    context = ws.context({"Buildfile": BUILDFILE})
    ws.build(context, "-t", "app:1")
    report = usage(ws, "--filter", "type=mount")
    equal({row["type"] for row in report["objects"]}, {"mount"}, "the types")
    equal(report["bytes"], report["objects"][0]["bytes"], "the sum")
    equal(usage(ws, "--filter", "until=1h")["objects"], [], "what is older than an hour")
    bad = ws.imgbuild("du", "--filter", "label=a", code=2)
    contains(bad.err, "error: there is no filter 'label'")
    contains(bad.err, "hint: filters are type, until, id, inuse, shared, private")


def test_prune_dry_run(ws):
    """`prune --dry-run` tells what would go and removes nothing."""
    ws.build(ws.context({"Buildfile": BUILDFILE}))
    before = usage(ws)["objects"]
    told = ws.imgbuild("prune", "--dry-run")
    matches(told.out, r"(?m)^layer +\w{12} .* reclaimable .* RUN head")
    matches(told.out, r"(?m)^would remove: 1 images, \d layers, 1 blobs, 0 cache mounts, 0 logs; .* to free$")
    equal(usage(ws)["objects"], before, "the objects")
    planned = ws.imgbuild("prune", "--dry-run", "--json").json()
    done = ws.imgbuild("prune", "--json").json()
    for report in (planned, done):
        del report["left"], report["dry_run"]  # the index grows and shrinks by the way
    equal(planned, done, "what was done")
    equal({row["type"] for row in usage(ws)["objects"]}, {"mount", "log"}, "what is left")


def test_prune_by_age_and_type(ws):
    """`prune --older-than` and `--filter type=` leave what they do not name."""
    context = ws.context({"Buildfile": BUILDFILE})
    ws.build(context)
    contains(ws.imgbuild("prune", "--older-than", "1h", "--all").out, "removed: 0 images, 0 layers, 0 blobs, 0 cache mounts")
    contains(ws.imgbuild("prune", "--filter", "type=mount").out, "removed: 0 images, 0 layers, 0 blobs, 1 cache mounts, 0 logs;")
    contains(ws.imgbuild("prune", "--filter", "type=log").out, " 0 cache mounts, 1 logs;")
    contains(ws.build(context).err, "CACHED")
    time.sleep(1.1)
    matches(ws.imgbuild("prune", "--filter", "until=1s").out, r"removed: 1 images, [1-9] layers")
    for arguments, message in ((("--filter", "label=x"), "hint: filters are type, until"),
                               (("--older-than", "soon"), "error: 'soon' is neither an age nor a time"),
                               (("--keep-storage", "lots"), "error: --keep-storage: invalid size 'lots'")):
        contains(ws.imgbuild("prune", *arguments, code=2).err, message)


def test_prune_to_a_size(ws):
    """`prune --keep-storage` removes the least recently used until the store fits, and images with a name never."""
    for name in ("old", "middle", "new"):
        ws.build(ws.context({"Buildfile": "FROM scratch\nCOPY f /\n", "f": os.urandom(2_000_000)}, name=name))
        ws.imgbuild("prune", "--filter", "type=image")
    ws.build(ws.context({"Buildfile": "FROM scratch\nCOPY f /\n", "f": os.urandom(2_000_000)}, name="kept"), "-t", "kept:1")
    ws.build(ws.path / "old")
    ws.imgbuild("prune", "--filter", "type=image")
    equal(usage(ws)["types"]["layer"]["count"], 4, "the layers")
    limit = usage(ws)["bytes"] - 1_500_000
    done = ws.imgbuild("prune", "--keep-storage", str(limit), "--json").json()
    equal((done["layers"], done["blobs"]), (1, 1), "the layers and blobs that went")
    expect(usage(ws)["bytes"] <= limit, "it is larger than it may be")
    contains(ws.build(ws.path / "old").err, "CACHED")
    lacks(ws.build(ws.path / "middle").err, "CACHED")
    ws.imgbuild("prune", "--keep-storage", "0")
    contains(ws.imgbuild("images").out, "kept:1")
    equal(usage(ws)["types"]["layer"]["count"], 1, "the layers left")


def test_upgrade(ws):
    """A store that format 1 made is used as it is by this imgbuild, with its cache and its images."""
    context = ws.context({"Buildfile": BUILDFILE})
    ws.build(context, "-t", "app:1")
    sql(ws, """ALTER TABLE layers DROP COLUMN disk; ALTER TABLE layers DROP COLUMN tree; ALTER TABLE blobs DROP COLUMN disk;
                   ALTER TABLE images DROP COLUMN last_used; DROP TABLE mounts; DROP TABLE costs; DROP TABLE remotes;
                   DROP TABLE blocks; DROP TABLE directories; PRAGMA user_version = 1;""")
    contains(ws.imgbuild("images").out, "app:1")
    contains(ws.build(context).err, "CACHED")
    for row in of_type(usage(ws), "layer"):
        equal(row["bytes"], disk_use(ws.root / "layers" / row["id"]), f"the size of {row}")
    sql(ws, "PRAGMA user_version = 99")
    contains(ws.imgbuild("images", code=11).err, "has format 99, and this imgbuild knows only up to 3")


# ---------------------------------------------------------------- fsck


def only(paths):
    found, = paths
    return found


def test_fsck(ws):
    """`fsck` finds damage and ends with 3, `fsck --repair` removes it, and the next build makes it again."""
    context = ws.context({"Buildfile": BUILDFILE})
    ws.build(context, "-t", "app:1", "-o", "type=oci,dest=app.tar")
    contains(ws.imgbuild("fsck", "--deep").out, "; no problem\n")
    random = only(ws.root.glob("layers/*/tree/random"))
    content = random.read_bytes()
    blob = max(ws.root.glob("blobs/sha256/*"), key=lambda path: path.stat().st_size)

    random.write_bytes(content[::-1])
    contains(ws.imgbuild("fsck").out, "; no problem\n")
    matches(ws.imgbuild("fsck", "--deep", code=3).out, r"^layer-content: \w{32}: its tar is sha256:\w+ and was sha256:")
    random.write_bytes(content[1:])
    (ws.root / "layers" / "stray").write_text("")
    with open(blob, "r+b") as file:
        file.write(b"damage")
    found = ws.imgbuild("fsck", code=3)
    matches(found.out, r"^layer-tree: \w{32}: '/(random|again)' has 299999 bytes and should have 300000$")
    matches(found.out, r"^layer-without-row: layers/stray: the index does not know it$")
    matches(found.out, rf"^blob-damaged: sha256:{blob.name}: its bytes are not what its digest says$")
    matches(found.out, r"; 3 problems; imgbuild fsck --repair$")
    repaired = ws.imgbuild("fsck", "--repair", "--json").json()
    equal(repaired["good"], True, "whether it is good now")
    equal({finding["repaired"] for finding in repaired["findings"]}, {True}, "what was repaired")
    contains(ws.imgbuild("fsck", "--deep").out, "; no problem\n")
    matches(ws.build(context, "-t", "app:1").err, r"^#(\d+) \[.*\] RUN head -c 300000 .*\n#\1 DONE")
    contains(ws.imgbuild("fsck", "--deep").out, "; no problem\n")


def test_fsck_of_a_broken_index(ws):
    """An index that is no database any more is replaced by `fsck --repair`, and builds go on."""
    context = ws.context({"Buildfile": BUILDFILE})
    ws.build(context, "-t", "app:1")
    for name in ("index.db-wal", "index.db-shm"):
        (ws.root / name).unlink(missing_ok=True)
    (ws.root / "index.db").write_bytes(os.urandom(20_000))
    broken = ws.imgbuild("images", code=11)
    contains(broken.err, "file is not a database", "hint: `imgbuild fsck --repair`")
    contains(ws.imgbuild("fsck", code=3).out, "index-damaged: index.db")
    contains(ws.imgbuild("fsck", "--repair").out, "repaired: index-damaged: index.db")
    contains(ws.imgbuild("fsck").out, "; no problem\n")
    ws.build(context, "-t", "app:1")


def test_fsck_beside_builds(ws):
    """Repairing beside builds disturbs none of them, and finds nothing wrong with what they make."""
    context = ws.context({"Buildfile": "FROM busybox\nARG N\n" + "".join(
        f"RUN echo $N {i} > /f{i}\n" for i in range(6)), "f": "x"})
    builds = [ws.start(binary(), "build", "--build-context", f"busybox={ws.busybox()}", "--build-arg", f"N={n}", "-t",
                       f"app:{n}", context) for n in range(3)]
    rounds = 0
    while any(build.poll() is None for build in builds):
        findings = ws.imgbuild("fsck", "--repair", "--deep", "--json").json()["findings"]
        equal([finding for finding in findings if finding["problem"] != "garbage"], [], "what it found")
        rounds += 1
    expect(rounds > 1, "the builds were over too soon to show anything")
    for build in builds:
        equal(build.wait(), 0, f"the exit code; {build.log.read_text()}")
    contains(ws.imgbuild("fsck", "--deep").out, "; no problem\n")


# ---------------------------------------------------------------- limits


def test_limit(ws):
    """IMGBUILD_STORE_LIMIT holds after every build; the oldest goes, and an image with a name stays."""
    limit = {"IMGBUILD_STORE_LIMIT": "32m"}
    ws.build(ws.context({"Buildfile": "FROM scratch\nCOPY f /\n", "f": os.urandom(2_000_000)}, name="kept"), "-t", "kept:1",
             env=limit)
    for n in range(6):
        ws.build(ws.context({"Buildfile": "FROM scratch\nCOPY f /\n", "f": os.urandom(10_000_000)}, name=f"c{n}"), env=limit)
        expect(usage(ws)["bytes"] <= 32 << 20, f"the store takes {usage(ws)['bytes']} after build {n}")
    contains(ws.build(ws.path / "c5", env=limit).err, "CACHED")
    contains(ws.imgbuild("images").out, "kept:1")
    too_much = ws.context({"Buildfile": "FROM scratch\nCOPY f /\n", "f": os.urandom(40_000_000)}, name="too-much")
    failed = ws.build(too_much, "-o", "type=oci,dest=no.tar", env=limit, code=102)
    matches(failed.err, r"error: .*the store '.*' may take 34 MB, and 3[0-9] MB more do not fit: images and running builds need ")
    failed = ws.build(too_much, "-t", "no:1", env=limit, code=102)
    matches(failed.err, r"error: .*the store '.*' may take 34 MB, and 40 MB more do not fit: images and running builds need ")
    contains(failed.err, "hint: raise IMGBUILD_STORE_LIMIT")
    expect(not (ws.path / "no.tar").exists(), "there is an archive")
    contains(ws.imgbuild("fsck").out, "; no problem\n")
    contains(ws.build(ws.path / "kept", env=limit).err, "CACHED")
    ws.build(too_much)
    contains(ws.imgbuild("images", env={"IMGBUILD_STORE_LIMIT": "plenty"}, code=2).err,
             "error: IMGBUILD_STORE_LIMIT: invalid size 'plenty'")


def test_full_disk(ws):
    """On a full disk a build succeeds or ends with 102 and a word on what to do; nothing is damaged, and it works later."""
    machine.need_root()
    context = ws.context({"Buildfile": "FROM busybox\nCOPY big /a/\nCOPY big /b/\n", "big": os.urandom(2_000_000)})
    (ws.path / "small").mkdir()
    store = {"IMGBUILD_ROOT": ws.path / "small" / "store"}
    codes = []
    for size in ("16k", "64k", "128k", "200k", "400k", "1m", "2m", "3m", "4m", "6m", "8m", "12m", "20m"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", ws.path / "small"], check=True)
        try:
            archive = ws.path / f"{size}.tar"
            done = ws.build(context, "-t", "app:1", "-o", f"type=oci,dest={archive}", env=store, code=None)
            codes.append(done.code)
            if done.code == 0:
                oci.load(archive)
            else:
                equal(done.code, 102, f"the exit code on {size}\n{done.story()}")
                matches(done.err, r"error: .*(No space left on device|database or disk is full|disk I/O error|unable to open)")
                contains(done.err, "hint: make room there")
                expect(not archive.exists(), "there is an archive")
            subprocess.run(["mount", "-o", "remount,size=100m", ws.path / "small"], check=True)
            ws.imgbuild("images", env=store)
            contains(ws.imgbuild("fsck", "--deep", env=store).out, "; no problem\n")
            ws.build(context, "-t", "app:1", "-o", f"type=oci,dest={archive}", env=store)
        finally:
            subprocess.run(["umount", "-l", ws.path / "small"], check=True)
    expect(codes[0] == 102 and codes[-1] == 0 and codes.count(102) > 4, f"the sizes show nothing: {codes}")


def test_prune_on_a_full_disk(ws):
    """Where not a byte is left, `du` and `prune` work all the same, and then a build does."""
    machine.need_root()
    context = ws.context({"Buildfile": BUILDFILE})
    (ws.path / "small").mkdir()
    store = {"IMGBUILD_ROOT": ws.path / "small" / "store"}
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", ws.path / "small"], check=True)
    try:
        ws.build(context, env=store)
        filler = ws.path / "small" / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4096"], check=False, stderr=subprocess.DEVNULL)
        equal(os.statvfs(filler).f_bavail, 0, "the blocks left")
        matches(ws.imgbuild("du", env=store).out, r"^total: ")
        contains(ws.imgbuild("prune", "--dry-run", env=store).out, "would remove: 1 images")
        matches(ws.imgbuild("prune", env=store).out, r"^removed: 1 images, [1-9] layers.* freed$")
        expect(os.statvfs(filler).f_bavail > 0, "nothing was freed")
        filler.unlink()
        contains(ws.imgbuild("fsck", "--deep", env=store).out, "; no problem\n")
        ws.build(context, env=store)
    finally:
        subprocess.run(["umount", "-l", ws.path / "small"], check=True)
