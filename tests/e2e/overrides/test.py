"""What a tree cannot hold as it is: devices, any owner, privileged attributes; in bases and in steps."""
import io
import os
import struct
import tarfile

import machine
import oci
import trees
from expect import contains, equal, expect

# Before 1980, so that no layer time cuts them.
TIME = 200_000_000
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)  # cap_net_raw, effective
OWNERS = [(0, 0), (1, 2), (12, 34), (999, 1000), (1000, 1000), (65534, 65534), (65535, 3), (65536, 65537), (65537, 0),
          (100000, 100000), (2097151, 2097152), (0x7ffeffff, 5), (0x7fff0000, 0x7fff0000), (3000000000, 4294967294)]
OWNERS += [(70000 * n, 10 * n) for n in range(1, 17)]


class Tar:
    """Builds a tar with anything in it; names are text with surrogates for odd bytes."""

    def __init__(self):
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape",
                                encoding="utf-8")

    def add(self, name, kind=tarfile.REGTYPE, mode=0o644, owner=(0, 0), content=b"", target="", device=(0, 0),
            xattrs=None):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime, info.linkname = kind, mode, TIME, target
        info.uid, info.gid = owner
        info.size = len(content)
        info.devmajor, info.devminor = device
        info.pax_headers = {f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape")
                            for key, value in (xattrs or {}).items()}
        self.tar.addfile(info, io.BytesIO(content))

    def bytes(self):
        self.tar.close()
        return self.buffer.getvalue()


def first_layer():
    """Of everything something."""
    tar = Tar()
    for number, owner in enumerate(OWNERS):
        tar.add(f"owners/{number:02}", owner=owner, content=b"x", mode=0o4755 if number % 3 == 0 else 0o640)
    tar.add("owners/dir", tarfile.DIRTYPE, 0o2751, (1 << 20, 1 << 21))
    tar.add("owners/dir/link", tarfile.SYMTYPE, 0o777, (1 << 20, 1 << 21), target="../00")
    tar.add("owners/dir/pipe", tarfile.FIFOTYPE, 0o622, (1 << 20, 7))
    tar.add("nodes/null", tarfile.CHRTYPE, 0o666, device=(1, 3))
    tar.add("nodes/disk", tarfile.BLKTYPE, 0o660, (0, 6), device=(8, 17), xattrs={"trusted.note": b"t"})
    tar.add("nodes/big", tarfile.CHRTYPE, 0o600, (1 << 20, 0), device=(4000, 1000000))
    tar.add("nodes/null-again", tarfile.LNKTYPE, 0o666, target="nodes/null")
    tar.add("attributes/capable", mode=0o755, content=b"#!", xattrs={"security.capability": CAPABILITY})
    # umoci leaves out what overlayfs could take for its own ("trusted.overlay."); the unit tests have that.
    tar.add("attributes/trusted", xattrs={"trusted.other": b"y", "user.plain": b"\xff\x00\x01"})
    tar.add("attributes/overlay", tarfile.DIRTYPE, 0o755, xattrs={"user.overlay.opaque": b"y",
                                                                  "user.overlay.redirect": b"/etc"})
    tar.add("attributes/ours", xattrs={"user.imgbuild.device": b"c 1 1", "user.imgbuild.owner": b"0 0 0 0"})
    tar.add("names/" + "n" * 255, content=b"long")
    tar.add("names/" + "/".join(["d" * 200] * 6) + "/deep", content=b"deep")
    tar.add("names/not\udcffutf\udc80", content=b"odd")
    tar.add("implicit/a/b/c/file", content=b"below directories that nobody described")
    tar.add("holes", content=b"begin" + bytes(3 << 20) + b"end")
    tar.add("linked/one", content=b"one inode", owner=(5, 6))
    tar.add("linked/two", tarfile.LNKTYPE, owner=(5, 6), target="linked/one")
    return tar.bytes()


def second_layer(ws):
    """Names of files of the first, and a file with holes as GNU tar writes it."""
    os.makedirs(ws.path / "second")
    with open(ws.path / "second/sparse", "wb") as file:
        file.truncate(5 << 20)
        file.seek(1 << 20)
        file.write(b"data between holes")
    ws.run("tar", "--sparse", "--format=pax", "--owner=0", "--group=0", "--numeric-owner", f"--mtime=@{TIME}",
           "-C", ws.path / "second", "-cf", ws.path / "sparse.tar", "sparse")
    tar = Tar()
    tar.add("linked/three", tarfile.LNKTYPE, target="linked/one")
    tar.add("elsewhere/null", tarfile.LNKTYPE, target="nodes/null")
    tar.add("implicit/a/new", content=b"in a directory of the first")
    return tar.bytes(), (ws.path / "sparse.tar").read_bytes()


def originals(ws):
    first = first_layer()
    return (first, *second_layer(ws))


def expected_tree(tars):
    tree = {}
    for tar in tars:
        trees.apply_layer(tree, io.BytesIO(tar))
    return tree


ADD_ALL = "FROM scratch\nADD 0.tar /\nADD 1.tar /\nADD 2.tar /\n"


def context_of(ws, tars, buildfile, name="context"):
    return ws.context({"Buildfile": buildfile, **{f"{number}.tar": tar for number, tar in enumerate(tars)}}, name)


def without(tree, *paths):
    return {path: node for path, node in tree.items() if path not in paths}


def below(tree, top):
    return {path[len(top) + 1:]: node for path, node in tree.items() if path.startswith(top + "/")}


def test_tree_and_back(ws):
    """A foreign tar, through trees of ours and unpacked by umoci, is what it was."""
    machine.need_root()
    machine.need("umoci", "tar")
    tars = originals(ws)
    context = context_of(ws, tars, ADD_ALL)
    ws.build(context, "-t", "x:1", "-o", "type=oci,dest=image,tar=false")
    image = oci.load(ws.path / "image")
    for number, tar in enumerate(tars[:1]):
        trees.require_same(image.layer_tree(number), trees.of_tar(io.BytesIO(tar)), f"layer {number}", ignore=("",))
    expected = expected_tree(tars)
    trees.require_same(image.tree(), expected, "the image and the tars", ignore=("",))
    ws.run("umoci", "unpack", "--image", "image:1", "bundle")
    trees.require_same(trees.of_directory(ws.path / "bundle/rootfs"), expected, "umoci's tree and the tars", ignore=("",))


TOUCH = """\
FROM busybox AS base
ADD 0.tar /o/
ADD 1.tar /o/
ADD 2.tar /o/
FROM base AS touched
RUN cd /o && chmod 600 nodes/null && mv nodes/disk nodes/moved && chown 7 nodes/big && ln nodes/big nodes/other \\
 && mv owners/13 owners/moved && chmod 700 owners/12 && chgrp 9 owners/12 && chmod 755 owners/dir \\
 && touch -h -d @5 owners/dir/link && chmod 600 owners/dir/pipe \\
 && chmod 700 attributes/capable && mv attributes/trusted attributes/moved && touch -d @6 attributes/ours \\
 && chmod 700 attributes/overlay && echo more >> linked/one
FROM scratch AS copied
COPY --from=touched /o /
"""


def test_steps_keep_what_they_cannot_see(ws):
    """A step that touches devices, foreign owners and privileged attributes of its base leaves them what they are."""
    machine.need_root()
    tars = originals(ws)
    context = context_of(ws, tars, TOUCH)
    image = ws.build_image(context, "--target", "touched")
    tree = below(image.tree(), "o")
    before = expected_tree(tars)

    def require(path, old=None, **changes):
        """`path` is what `old` was, with these changes."""
        facts, wanted = tree[path].facts(), {**before[old or path].facts(), **changes}
        equal(facts, wanted, path)

    require("nodes/null", mode="0o600")
    # overlayfs copies one name up and leaves the others what they were.
    require("elsewhere/null")
    require("nodes/moved", "nodes/disk")
    require("nodes/big", owner=(7, 0))
    require("nodes/other", "nodes/big", owner=(7, 0))
    require("owners/moved", "owners/13")
    require("owners/12", owner=(0x7fff0000, 9), mode="0o700")
    require("owners/dir", mode="0o755")
    require("owners/dir/link", mtime=5)
    require("owners/dir/pipe", mode="0o600")
    require("attributes/capable", mode="0o700")
    require("attributes/moved", "attributes/trusted")
    require("attributes/ours", mtime=6)
    require("attributes/overlay", mode="0o700")
    require("linked/three")
    expect(tree["linked/three"] is tree["linked/two"], "a file that was linked across layers fell apart")
    equal(tree["linked/one"].content[0], len(b"one inodemore\n"), "the size of a file that a step wrote to")

    copied = ws.build_image(context, "--target", "copied").tree()
    equal(sorted(without(copied, "")), sorted(tree), "the names that COPY --from copied")
    for path, node in tree.items():
        equal({**copied[path].facts(), "mtime": 0}, {**node.facts(), "mtime": 0}, f"{path} as copied")


DEVICES = """\
FROM busybox AS made
RUN mkdir /d && mknod /d/null c 1 3 && mknod -m 640 /d/disk b 8 300 && chgrp 6 /d/disk && mknod /d/pipe p \\
 && mv /d/null /d/zero && ln /d/zero /d/again
RUN chmod 620 /d/disk && rm /d/pipe
FROM made AS unpacked
ADD nodes.tar /nodes.bin/
COPY nodes.tar /plain/nodes.tar
RUN mkdir /t && tar -xf /plain/nodes.tar -C /t && rm -r /plain
FROM scratch AS copied
COPY --from=unpacked /t /d /
"""


def nodes_tar():
    tar = Tar()
    tar.add("console", tarfile.CHRTYPE, 0o620, (0, 5), device=(5, 1))
    tar.add("loop", tarfile.BLKTYPE, 0o660, (0, 6), device=(7, 0))
    tar.add("fifo", tarfile.FIFOTYPE, 0o600)
    return tar.bytes()


def test_devices_of_steps(ws):
    """mknod and tar in a step make devices that the image has, and that later steps and stages keep."""
    machine.need_root()
    context = ws.context({"Buildfile": DEVICES, "nodes.tar": nodes_tar()})
    image = ws.build_image(context, "--target", "unpacked")
    tree = image.tree()

    def facts(path):
        node = tree[path]
        return (node.type, oct(node.mode), node.owner, node.content)
    equal(facts("d/zero"), ("char", "0o644", (0, 0), (1, 3)), "d/zero")
    expect(tree["d/again"] is tree["d/zero"], "d/again is no hard link of d/zero")
    equal(facts("d/disk"), ("block", "0o620", (0, 6), (8, 300)), "d/disk")
    expect("d/null" not in tree and "d/pipe" not in tree, "what was moved and removed is there")
    for top in ("t", "nodes.bin"):
        equal(facts(f"{top}/console"), ("char", "0o620", (0, 5), (5, 1)), f"{top}/console")
        equal(facts(f"{top}/loop"), ("block", "0o660", (0, 6), (7, 0)), f"{top}/loop")
    copied = ws.build_image(context, "--target", "copied").tree()
    equal(copied["console"].content, (5, 1), "console as copied")
    equal(copied["disk"].content, (8, 300), "disk as copied")


def test_refusals_name_the_path(ws):
    """What a step cannot make is refused with the path, and the step fails as its command does."""
    machine.need_root()
    context = ws.context({"Buildfile": "FROM busybox\nRUN mknod /dev/fuse c 10 229\n"})
    result = ws.build(context, code=1)
    contains(result.err, "imgbuild: cannot make the device '/dev/fuse' (c 10 229): its directory is a mount")
    contains(result.err, "Operation not permitted")
