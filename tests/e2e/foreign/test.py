"""Images made by other builders: random layers, valid but with all that tars allow, give the trees that umoci unpacks.

IMGBUILD_FOREIGN_SEED and IMGBUILD_FOREIGN_COUNT choose other images; the seed of each is in the message of a failure.
"""
import hashlib
import json
import os
import random

import busybox
import foreign
import machine
import trees
from expect import Failure

SEED = int(os.environ.get("IMGBUILD_FOREIGN_SEED", "20261125"))
COUNT = int(os.environ.get("IMGBUILD_FOREIGN_COUNT", "10"))


def by_umoci(ws, seed, tars):
    """The tree that umoci makes of the layers (as gzip: Debian's knows no zstd)."""
    layout = busybox.write_layout(ws.path / f"umoci-{seed}", {}, tars)
    bundle = ws.path / f"bundle-{seed}"
    ws.run("umoci", "unpack", "--image", f"{layout}:latest", bundle)
    return trees.of_directory(bundle / "rootfs")


def layout_of(ws, seed, tars):
    """An OCI layout with each layer in a form that the seed chooses."""
    pick = random.Random(seed)
    layout = busybox.write_layout(ws.path / f"layout-{seed}", {}, tars)
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads((layout / "blobs/sha256" / index["manifests"][0]["digest"][7:]).read_text())

    def put(content):
        digest = hashlib.sha256(content).hexdigest()
        (layout / "blobs/sha256" / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}
    for layer, tar in zip(manifest["layers"], tars):
        blob, suffix = foreign.compress(pick, tar)
        layer.update(put(blob), mediaType=f"application/vnd.oci.image.layer.v1.tar{suffix}")
    index["manifests"][0].update(put(json.dumps(manifest).encode()))
    (layout / "index.json").write_text(json.dumps(index))
    return layout


def by_imgbuild(ws, seed, tars):
    context = ws.context({"Buildfile": "FROM foreign\n"})
    out = ws.path / f"out-{seed}.tar"
    ws.build(context, "--build-context", f"foreign=oci-layout://{layout_of(ws, seed, tars)}", "-o", f"type=tar,dest={out}")
    with open(out, "rb") as stream:
        return trees.of_tar(stream)


def test_random_layers(ws):
    """Random layers of other builders: the tree is umoci's."""
    machine.need_root()
    machine.need("umoci", "zstd")
    for seed in range(SEED, SEED + COUNT):
        tars = foreign.layers(seed)
        try:
            expected = by_umoci(ws, seed, tars)
            trees.require_same(by_imgbuild(ws, seed, tars), expected, "imgbuild's tree and umoci's", ignore=("",))
        except Failure as failure:
            raise Failure(f"IMGBUILD_FOREIGN_SEED={seed}\n{failure}") from None
