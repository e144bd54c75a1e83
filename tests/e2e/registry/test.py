"""Push to and pull from a real docker-registry, and what other tools make of it."""
import json

import machine
import oci
import registry
from expect import contains, equal, expect, lacks

BUILDFILE = "FROM busybox\nRUN echo pushed > /pushed && head -c 3000000 /dev/urandom > /big\nCMD [\"/bin/cat\", \"/pushed\"]\n"


def push(ws):
    """A registry, and the result of a build that was pushed to it as app:1."""
    host = registry.Registry(ws)
    context = ws.context({"Buildfile": BUILDFILE})
    ws.build(context, "-t", f"{host.host}/team/app:1", "--push", "-o", "type=oci,dest=out.tar")
    return host


def test_push_and_pull(ws):
    """A pushed image can be the base of a build with an empty store; its layers keep their digests."""
    host = push(ws)
    digest, manifest = host.manifest("team/app", "1")
    equal(digest, oci.load(ws.path / "out.tar").digest, "the digest in the registry")
    context = ws.context({"Buildfile": f"FROM {host.host}/team/app:1\nRUN cat /pushed /pushed > /twice\n"}, name="next")
    ws.imgbuild("build", "-o", "type=oci,dest=next.tar", context, env={"IMGBUILD_ROOT": ws.path / "other-store"})
    after = oci.load(ws.path / "next.tar")
    equal(after.read("twice"), b"pushed\npushed\n", "what the step read")
    equal([layer["digest"] for layer in after.manifest["layers"][:2]], [layer["digest"] for layer in manifest["layers"]],
          "the layers of the base")


def test_pull_by_digest(ws):
    """A base can be named by its digest."""
    host = push(ws)
    digest, _ = host.manifest("team/app", "1")
    context = ws.context({"Buildfile": f"FROM {host.host}/team/app@{digest}\nRUN cat /pushed\n"}, name="next")
    contains(ws.imgbuild("build", "--progress", "plain", context).err, "pushed")


def test_push_command(ws):
    """push sends an image of the store, also under other names; what the registry has is not sent again."""
    host = push(ws)
    printed = ws.imgbuild("push", f"{host.host}/team/app:1", f"{host.host}/team/copy:2", f"{host.host}/other:3").out
    equal(host.manifest("team/copy", "2"), host.manifest("team/app", "1"), "the copy")
    digest = host.manifest("other", "3")[0]
    equal(printed, f"{host.host}/team/copy@{digest}\n{host.host}/other@{digest}\n", "what was printed")
    contains(ws.imgbuild("push", f"{host.host}/team/app:1", f"{host.host}/a@{digest}", code=2).err, "tag")


def test_https_is_tried_elsewhere(ws):
    """Plain HTTP is for loopback and for --insecure-registry only."""
    port = registry.free_port()
    context = ws.context({"Buildfile": f"FROM registry.invalid:{port}/a:1\n"})
    lacks(ws.imgbuild("build", context, code=10).err, "http://registry.invalid")


def test_skopeo(ws):
    """skopeo inspects and copies the pushed image and the archive, and sees what we see."""
    machine.need("skopeo")
    host = push(ws)
    image = oci.load(ws.path / "out.tar")
    seen = ws.run("skopeo", "inspect", "--tls-verify=false", f"docker://{host.host}/team/app:1").json()
    equal(seen["Digest"], image.digest, "the digest")
    equal(seen["Layers"], [layer["digest"] for layer in image.manifest["layers"]], "the layers")
    config = ws.run("skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{host.host}/team/app:1").json()
    equal(config["config"]["Cmd"], ["/bin/cat", "/pushed"], "the command")
    ws.run("skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", f"docker://{host.host}/team/app:1",
           f"oci:{ws.path}/from-registry:1")
    ws.run("skopeo", "copy", "--insecure-policy", f"oci-archive:{ws.path}/out.tar", f"oci:{ws.path}/from-archive:1")
    for copy in ("from-registry", "from-archive"):
        equal(oci.load(ws.path / copy).digest, image.digest, f"the digest of {copy}")


def test_only_what_is_needed(ws):
    """An intermediate stage is neither compressed nor pushed."""
    host = registry.Registry(ws)
    context = ws.context({"Buildfile": "FROM busybox AS big\nRUN head -c 9000000 /dev/urandom > /big; echo x > /x\n"
                                       "FROM scratch\nCOPY --from=big /x /x\n"})
    ws.build(context, "-t", f"{host.host}/small:1", "--push")
    _, manifest = host.manifest("small", "1")
    expect(sum(layer["size"] for layer in manifest["layers"]) < 10000, f"pushed too much: {json.dumps(manifest)}")
    blobs = [path for path in (ws.root / "blobs").rglob("*") if path.is_file() and path.stat().st_size > 5_000_000]
    equal(blobs, [], "large blobs in the store")
