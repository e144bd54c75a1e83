"""Push to and pull from a real docker-registry, and what other tools make of it."""
import json

import fault_proxy
import machine
import oci
import registry
from expect import contains, equal, expect, lacks, matches

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


def test_pull_policies(ws):
    """A tag is believed for a while; --pull asks, --pull=never asks nobody, a digest needs no asking."""
    host = registry.Registry(ws)
    proxy = fault_proxy.FaultProxy(host.host)
    base = ws.context({"Buildfile": "FROM busybox\nRUN echo one > /which\n"}, name="base")
    other = {"IMGBUILD_ROOT": ws.path / "other-store"}
    ws.build(base, "-t", f"{host.host}/base:1", "--push", env=other)
    digest, _ = host.manifest("base", "1")
    context = ws.context({"Buildfile": f"FROM {proxy.host}/base:1\nRUN cat /which\n"})

    def build(*arguments):
        asked = len(proxy.log)
        err = ws.imgbuild("build", "--progress", "plain", *arguments, context).err
        return err, [method for method, *_ in proxy.log[asked:]]

    refused = ws.imgbuild("build", "--pull=never", context, code=11).err
    contains(refused, "Buildfile:1", f">>> FROM {proxy.host}/base:1", "--pull=never", "--pull=missing")
    equal(proxy.log, [], "requests with --pull=never")
    contains(build()[0], f" {digest}\n", " one\n")
    err, asked = build()
    matches(err, rf" {digest}, as its registry said \d+ seconds? ago")
    equal(asked, [], "requests while the tag is believed")
    equal(build("--tag-ttl", "0")[1], ["HEAD"], "requests when it is not, and is what it was")

    base = ws.context({"Buildfile": "FROM busybox\nRUN echo two > /which\n"}, name="base")
    ws.build(base, "-t", f"{host.host}/base:1", "--push", env=other)
    lacks(build()[0], " two\n")
    contains(build("--pull")[0], " two\n")
    ws.write("context/Buildfile", f"FROM {proxy.host}/base@{digest}\nRUN cat /which /which\n")
    contains(build()[0], " one\n")
    equal(build("--tag-ttl", "0")[1], [], "requests for a digest that is known")
    for policy in ("--pull=newer", "--tag-ttl=soon"):
        contains(ws.imgbuild("build", policy, context, code=2).err, policy.split("=")[0])


def test_push_is_known_at_once(ws):
    """What this store has pushed under a name is what the name means, however short ago it was asked."""
    host = registry.Registry(ws)
    for text in ("one", "two"):
        base = ws.context({"Buildfile": f"FROM busybox\nRUN echo {text} > /which\n"}, name="base")
        ws.build(base, "-t", "mine:1")
        ws.imgbuild("push", "mine:1", f"{host.host}/base:1")
        context = ws.context({"Buildfile": f"FROM {host.host}/base:1\nRUN cat /which\n"})
        contains(ws.imgbuild("build", "--progress", "plain", context).err, f" {text}\n")
