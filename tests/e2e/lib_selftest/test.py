"""The tools of the end-to-end tests, tested without the binary: a judge must not be wrong."""
import io
import os
import tarfile

import busybox
import machine
import oci
import registry
import trees
from expect import Failure, equal, expect
from workspace import CACHE


def tar_of(*members):
    """A tar of (name, type, {attribute: value}, content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, attributes, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content)
            for key, value in attributes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def file(name, content=b"", **attributes):
    return name, tarfile.REGTYPE, attributes, content


def stack(*layers):
    tree = {}
    for layer in layers:
        trees.apply_layer(tree, tar_of(*layer))
    return tree


def test_whiteout(_):
    """A whiteout removes what lies below, not what its own layer adds."""
    tree = stack([file("d/old"), file("d/kept"), file("gone")],
                 [file("d/.wh.old"), file(".wh.gone"), file("gone/new")])
    equal(sorted(tree), ["d", "d/kept", "gone", "gone/new"], "the paths")


def test_opaque(_):
    """An opaque mark empties its directory of the layers below, wherever it stands in its layer."""
    equal(sorted(stack([file("d/a"), file("e/b")], [file("d/new"), file("d/.wh..wh..opq")])), ["d", "d/new", "e", "e/b"],
          "the paths")


def test_hard_links(_):
    """Hard links are told from equal copies."""
    linked = stack([file("a", b"x"), ("b", tarfile.LNKTYPE, {"linkname": "a"}, b"")])
    copied = stack([file("a", b"x"), file("b", b"x")])
    expect(trees.differences(linked, copied), "a link and a copy look the same")
    equal(trees.differences(linked, linked), [], "a tree against itself")


def test_each_fact_counts(_):
    """A difference in any one fact of a file is seen."""
    plain = stack([file("a", b"x")])
    for attributes, content in (({"mode": 0o755}, b"x"), ({"uid": 7}, b"x"), ({"mtime": 9}, b"x"), ({}, b"y"),
                                ({"pax_headers": {"SCHILY.xattr.user.k": "v"}}, b"x")):
        expect(trees.differences(plain, stack([file("a", content, **attributes)])), f"unseen: {attributes} {content}")
    expect(trees.differences(plain, {}), "a missing file is unseen")


def test_hostile_names(_):
    """A layer that climbs out of its root is refused."""
    for name in ("../a", "/a", "a/../../b"):
        try:
            stack([file(name)])
        except Failure:
            continue
        raise Failure(f"{name} is accepted")


def test_directory_and_tar_agree(ws):
    """A directory and its tar are the same tree: modes, links, fifos, extended attributes."""
    top = ws.path / "tree"
    (top / "d").mkdir(parents=True)
    (top / "d/a").write_text("x")
    os.chmod(top / "d/a", 0o4711)
    os.link(top / "d/a", top / "d/b")
    os.symlink("a", top / "d/s")
    os.mkfifo(top / "f")
    os.setxattr(top / "d/a", "user.note", b"\0\xff")
    machine.need("tar")
    ws.run("tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-cf", ws.path / "t.tar", "-C", top, ".")
    with open(ws.path / "t.tar", "rb") as stream:
        trees.require_same(trees.of_directory(top), trees.of_tar(stream), "the directory and its tar")


def test_busybox_layout(_):
    """The base image is a valid layout, and the same at every making."""
    image = oci.load(busybox.layout(CACHE))
    tree = image.tree()
    equal(tree["bin/sh"].content, "busybox", "the target of bin/sh")
    equal(tree["tmp"].mode, 0o1777, "the mode of tmp")
    equal(busybox.layer(), busybox.layer(), "two makings")


def test_mentions(ws):
    """Words are found in the config and in any layer, also where two readings of it meet, and nowhere else."""
    layout, seam = ws.path / "layout", b"x" * ((1 << 20) - 512 - 3) + b"needle"
    busybox.write_layout(layout, {"Labels": {"a": "label"}}, [tar_of(file("a", seam)).getvalue()])
    image = oci.load(layout)
    equal([image.mentions(word) for word in ("needle", "label", "elsewhere")], [True, True, False], "what is found")


def test_corruption_is_seen(ws):
    """A blob with one changed byte is refused by the reader."""
    layout = ws.path / "layout"
    busybox.write_layout(layout, {}, [tar_of(file("a", b"x")).getvalue()])
    oci.load(layout)
    for blob in (layout / "blobs/sha256").iterdir():
        good = blob.read_bytes()
        blob.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        try:
            oci.load(layout)
        except (Failure, ValueError, OSError):
            blob.write_bytes(good)
            continue
        raise Failure(f"{blob.name} is accepted")


def test_processes(ws):
    """A family of processes is found, and found again after its parent died."""
    process = ws.start("sh", "-c", "sleep 4711 & sleep 4712 & wait")
    family = machine.wait_until(lambda: len(machine.descendants(process.pid)) == 3 and machine.descendants(process.pid),
                                5, "three processes")
    process.kill()
    process.wait()
    equal(len(machine.alive(family)), 2, "the survivors")


def test_registry(ws):
    """The registry comes up on the loopback and knows nothing yet."""
    equal(registry.Registry(ws).manifest("a/b", "latest"), None, "an unknown image")
