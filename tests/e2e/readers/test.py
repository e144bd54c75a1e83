"""What others read in our blobs, that is GNU tar, bsdtar, Python, umoci and skopeo: the same tree, in every compression.

IMGBUILD_READERS_SEED chooses another tree.
"""
import json
import os
import random
import tarfile

import foreign
import machine
import oci
import trees
from expect import equal, expect

SEED = int(os.environ.get("IMGBUILD_READERS_SEED", "20261125"))
# A random archive with all that tars have; files larger than any block of ours; a step that removes and replaces.
BUILDFILE = """\
FROM busybox AS base
ADD 0.tar /random/
FROM base AS all
COPY big text /files/
RUN rm -r /home /usr && mkdir /usr && echo new > /usr/new && mkfifo /pipe && ln /pipe /again && ln -s pipe /soft
"""


def layout_of(ws, compression):
    pick = random.Random(SEED)
    text = "".join(f"{pick.randrange(10 ** 6)} words\n" for _ in range(200_000))
    context = ws.context({"Buildfile": BUILDFILE, "0.tar": foreign.layers(SEED, 1)[0], "big": pick.randbytes(3_000_000), "text": text})
    layout = ws.path / f"layout-{compression}"
    ws.build(context, "--target", "all", "-t", "reader:1", "-o",
             f"type=oci,tar=false,dest={layout},compression={compression},force-compression=true")
    return layout


def blobs_of(layout):
    """[(path, diff id)] of the only image, oldest first."""
    def read(descriptor):
        return json.loads((layout / "blobs/sha256" / descriptor["digest"][7:]).read_text())
    manifest = read(json.loads((layout / "index.json").read_text())["manifests"][0])
    return [(layout / "blobs/sha256" / layer["digest"][7:], diff_id)
            for layer, diff_id in zip(manifest["layers"], read(manifest["config"])["rootfs"]["diff_ids"])]


def by_gnu_tar(ws, blob, compression, out):
    flag = {"gzip": ["-z"], "zstd": ["--zstd"], "uncompressed": []}[compression]
    ws.run("tar", *flag, "--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner", "-xpf", blob, "-C", out)
    return trees.of_directory(out)


def by_bsdtar(ws, blob, _, out):
    ws.run("bsdtar", "--numeric-owner", "--xattrs", "-xpf", blob, "-C", out)
    return trees.of_directory(out)


def by_python(ws, blob, compression, _):
    if compression == "zstd":  # Python's knows none
        plain = ws.path / f"{blob.name}.tar"
        ws.run("zstd", "-dqo", plain, blob)
        blob = plain
    with tarfile.open(blob, "r:gz" if compression == "gzip" else "r:") as tar:
        tree = {}
        for member in tar:
            trees._put(tree, trees._clean(member.name), tar, member)
        return tree


def require_readable(ws, compression):
    layout = layout_of(ws, compression)
    image = oci.load(layout)
    blobs = blobs_of(layout)
    expect(any(blob.stat().st_size > 3_000_000 for blob, _ in blobs), "no blob of several blocks")
    for number, (blob, _) in enumerate(blobs):
        expected = image.layer_tree(number)
        for read in (by_gnu_tar, by_bsdtar, by_python):
            out = ws.path / f"{compression}-{number}-{read.__name__}"
            out.mkdir()
            trees.require_same(read(ws, blob, compression, out), expected, f"{read.__name__} of the {compression} layer {number}",
                               ignore=("",))
    return layout, image, blobs


def require_skopeo(ws, layout, blobs):
    out = ws.path / "skopeo"
    ws.run("skopeo", "--insecure-policy", "copy", "--dest-decompress", f"oci:{layout}:1", f"dir:{out}")
    layers = [layer["digest"] for layer in json.loads((out / "manifest.json").read_text())["layers"]]
    equal(layers, [diff_id for _, diff_id in blobs], "what skopeo decompressed")


def test_gzip(ws):
    """gzip in members: GNU tar, bsdtar, Python, umoci and skopeo."""
    machine.need_root()
    machine.need("tar", "bsdtar", "umoci", "skopeo")
    layout, image, blobs = require_readable(ws, "gzip")
    ws.run("umoci", "unpack", "--image", f"{layout}:1", ws.path / "bundle")
    trees.require_same(trees.of_directory(ws.path / "bundle/rootfs"), image.tree(), "umoci's tree", ignore=("",))
    require_skopeo(ws, layout, blobs)


def test_zstd(ws):
    """zstd in frames: GNU tar, bsdtar, zstd's own program and skopeo."""
    machine.need_root()
    machine.need("tar", "bsdtar", "zstd", "skopeo")
    layout, _, blobs = require_readable(ws, "zstd")
    require_skopeo(ws, layout, blobs)


def test_uncompressed(ws):
    """No compression: GNU tar, bsdtar and Python."""
    machine.need_root()
    machine.need("tar", "bsdtar")
    require_readable(ws, "uncompressed")
