"""`imgbuild copy` and the archives: what we write others read, and the reverse; nothing changes on the way that need not."""
import json
import os
import tarfile

import machine
import oci
import registry
import trees
from expect import contains, equal, expect, lacks

PLATFORM = "linux/amd64"


def image(ws):
    """An image of the store, app:1, and the same as out.tar."""
    context = ws.context({"Buildfile": "FROM scratch\nCOPY one /one\nCOPY two /two\nCMD [\"/one\"]\n", "one": "1\n",
                          "two": os.urandom(300_000)})
    ws.build(context, "-t", "app:1", "-o", "type=oci,dest=out.tar")
    return oci.load(ws.path / "out.tar")


def copy(ws, source, destination, *options, code=0, store=None, **more):
    env = {"IMGBUILD_ROOT": ws.path / store} if store else {}
    return ws.imgbuild("copy", source, destination, *options, code=code, env=env, **more)


def test_every_pair(ws):
    """store → registry → layout → archive → docker archive → another store: the same config, layers and files."""
    made = image(ws)
    host = registry.Registry(ws)
    printed = copy(ws, "store:app:1", f"docker://{host.host}/team/app:1").out.strip()
    equal(printed, host.manifest("team/app", "1")[0], "the printed digest")
    copy(ws, f"docker://{host.host}/team/app:1", "oci:layout:1", store="s1")
    equal(oci.load(ws.path / "layout").digest, printed, "the digest in the layout")
    copy(ws, "oci:layout:1", "oci-archive:a.tar:1", store="s2")
    equal(oci.load(ws.path / "a.tar").digest, printed, "the digest in the archive")
    copy(ws, "oci-archive:a.tar", "docker-archive:d.tar:team/app:1", store="s3")
    copy(ws, "docker-archive:d.tar:team/app:1", "store:back:1", store="s4")
    identity = copy(ws, "docker-archive:d.tar", "store:back:2", store="s4").out.strip()
    equal(identity, made.id, "the id of the image")
    copy(ws, "store:back:1", "oci-archive:last.tar", store="s4")
    last = oci.load(ws.path / "last.tar")
    equal(last.digest, printed, "the digest after the whole way")
    trees.require_same(last.tree(), made.tree(), "the files")


def test_registry_to_registry(ws):
    """Within one registry blobs are mounted, to another they are sent once; the digest stays."""
    image(ws)
    one, two = registry.Registry(ws), registry.Registry(ws)
    digest = copy(ws, "store:app:1", f"docker://{one.host}/team/app:1").out.strip()
    copy(ws, f"docker://{one.host}/team/app:1", f"docker://{one.host}/other/app:2", store="s1")
    equal(one.manifest("other/app", "2")[0], digest, "the digest in the same registry")
    expect(not list((ws.path / "s1/blobs").rglob("?" * 64)), "blobs were fetched for a mount")
    copy(ws, f"docker://{one.host}/team/app@{digest}", f"docker://{two.host}/app:3", store="s2")
    equal(two.manifest("app", "3")[0], digest, "the digest in another registry")


def test_several_names(ws):
    """Several names are pushed in one go: tags of one repository, another repository, another registry."""
    one, two = registry.Registry(ws), registry.Registry(ws)
    names = [f"{one.host}/team/app:1", f"{one.host}/team/app:latest", f"{one.host}/other/app:1", f"{two.host}/app:1"]
    context = ws.context({"Buildfile": "FROM scratch\nCOPY one /one\n", "one": os.urandom(300_000)})
    ws.build(context, "--push", "--iidfile", "id", *(word for name in names for word in ("-t", name)))
    digest, manifest = one.manifest("team/app", "1")
    equal(manifest["config"]["digest"], (ws.path / "id").read_text(), "the image's id")
    for host, name, tag in ((one, "team/app", "latest"), (one, "other/app", "1"), (two, "app", "1")):
        equal(host.manifest(name, tag)[0], digest, f"{name}:{tag}")


def test_skopeo(ws):
    """skopeo reads our docker archive and writes one that we read; layouts and registries likewise."""
    machine.need("skopeo")
    made = image(ws)
    host = registry.Registry(ws)
    copy(ws, "store:app:1", "docker-archive:ours.tar:team/app:1")
    ws.run("skopeo", "copy", "--insecure-policy", f"docker-archive:{ws.path}/ours.tar:team/app:1", f"oci:{ws.path}/from-ours:1")
    trees.require_same(oci.load(ws.path / "from-ours").tree(), made.tree(), "the files that skopeo saw")
    ws.run("skopeo", "copy", "--insecure-policy", f"oci-archive:{ws.path}/out.tar", f"docker-archive:{ws.path}/theirs.tar:app:1")
    copy(ws, f"docker-archive:{ws.path}/theirs.tar:app:1", "oci:from-theirs:1", store="s1")
    theirs = oci.load(ws.path / "from-theirs")
    trees.require_same(theirs.tree(), made.tree(), "the files of skopeo's archive")
    expect(all(layer["mediaType"].endswith("+gzip") for layer in theirs.manifest["layers"]), "layers are not compressed")
    ws.run("skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", "--format", "v2s2", f"oci-archive:{ws.path}/out.tar",
           f"docker://{host.host}/docker:1")
    digest, manifest = host.manifest("docker", "1")
    contains(manifest["mediaType"], "docker")
    equal(copy(ws, f"docker://{host.host}/docker:1", f"docker://{host.host}/again:1", store="s2").out.strip(), digest,
          "a docker manifest goes from registry to registry as it is")
    copy(ws, f"docker://{host.host}/docker:1", "oci:from-docker:1", store="s2")
    equal(oci.load(ws.path / "from-docker").manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json", "the media type")
    ws.run("skopeo", "copy", "--insecure-policy", f"oci:{ws.path}/from-docker:1", f"oci-archive:{ws.path}/round.tar:1")
    trees.require_same(oci.load(ws.path / "round.tar").tree(), made.tree(), "the files after all that")


def test_umoci(ws):
    """An image made by umoci is copied, pushed and pulled."""
    machine.need("umoci")
    ws.run("umoci", "init", "--layout", ws.path / "u")
    ws.run("umoci", "new", "--image", f"{ws.path}/u:1")
    ws.write("tree/file", "by umoci\n")
    ws.run("umoci", "insert", "--image", f"{ws.path}/u:1", ws.path / "tree", "/tree")
    host = registry.Registry(ws)
    digest = copy(ws, "oci:u:1", f"docker://{host.host}/umoci:1").out.strip()
    equal(host.manifest("umoci", "1")[0], digest, "the digest")
    context = ws.context({"Buildfile": f"FROM {host.host}/umoci:1\nCOPY x /x\n", "x": "x"}, name="next")
    ws.imgbuild("build", "-o", "type=oci,dest=next.tar", context, env={"IMGBUILD_ROOT": ws.path / "s1"})
    equal(oci.load(ws.path / "next.tar").read("tree/file"), b"by umoci\n", "umoci's file")


def test_buildah(ws):
    """An image that buildah pushed is pulled, with docker's and with OCI's media types; buildah pulls ours."""
    machine.need("buildah")
    machine.need_root()
    host = registry.Registry(ws)
    places = ["--root", ws.path / "c", "--runroot", ws.path / "r", "--storage-driver", "vfs"]
    name = ws.run("buildah", *places, "from", "scratch").out.strip()
    ws.write("file", "by buildah\n")
    ws.run("buildah", *places, "copy", name, ws.path / "file", "/file")
    for form in ("oci", "docker"):
        ws.run("buildah", *places, "commit", "--format", form, name, f"localhost/{form}:1")
        ws.run("buildah", *places, "push", "--tls-verify=false", f"localhost/{form}:1", f"docker://{host.host}/buildah/{form}:1")
        context = ws.context({"Buildfile": f"FROM {host.host}/buildah/{form}:1\nCOPY x /x\n", "x": form}, name="next")
        ws.imgbuild("build", "-o", "type=oci,dest=next.tar", "-t", f"{host.host}/ours/{form}:1", "--push", context)
        equal(oci.load(ws.path / "next.tar").read("file"), b"by buildah\n", f"buildah's file, {form}")
        pulled = ws.run("buildah", *places, "pull", "-q", "--tls-verify=false", f"docker://{host.host}/ours/{form}:1").out.strip()
        expect(pulled, "buildah pulled nothing")


def test_podman(ws):
    """podman pulls what we pushed and loads what we wrote."""
    machine.need("podman")
    machine.need_root()
    made = image(ws)
    host = registry.Registry(ws)
    copy(ws, "store:app:1", f"docker://{host.host}/app:1")
    copy(ws, "store:app:1", "docker-archive:d.tar:loaded:1")
    places = ["--root", ws.path / "c", "--runroot", ws.path / "r", "--storage-driver", "vfs", "--events-backend", "none"]
    pulled = ws.run("podman", *places, "pull", "-q", "--tls-verify=false", f"{host.host}/app:1").out.strip()
    equal("sha256:" + pulled, made.id, "the id that podman pulled")
    contains(ws.run("podman", *places, "load", "-i", ws.path / "d.tar").out, "loaded:1")


def test_output(ws):
    """-o type=docker writes such an archive, also to standard output, with all names."""
    context = ws.context({"Buildfile": "FROM scratch\nCOPY one /one\n", "one": "1\n"})
    ws.build(context, "-t", "app:1", "-t", "quay.io/team/app:2", "-o", "type=docker,dest=d.tar")
    with tarfile.open(ws.path / "d.tar") as archive:
        listed = json.load(archive.extractfile("manifest.json"))
        equal(listed[0]["RepoTags"], ["app:1", "quay.io/team/app:2"], "the names")
        for name in [listed[0]["Config"], *listed[0]["Layers"]]:
            archive.getmember(name)
    ws.run("sh", "-c", f"'{binary()}' build -o type=docker,dest=- {context} > piped.tar")
    with tarfile.open(ws.path / "piped.tar") as archive:
        archive.getmember("manifest.json")
    contains(ws.build(context, "-o", "type=docker", code=2).err, "docker load")


def binary():
    import workspace
    return workspace.binary()


def test_pipes(ws):
    """Archives come from pipes and compressed, and go to pipes."""
    made = image(ws)
    copy(ws, "store:app:1", "docker-archive:d.tar:app:1")
    ws.run("gzip", "-k", ws.path / "d.tar")
    copy(ws, "docker-archive:d.tar.gz", "store:zipped:1", store="s1")
    ws.run("sh", "-c", f"'{binary()}' copy store:app:1 docker-archive:-:app:1 | '{binary()}' copy docker-archive:- store:piped:1")
    contains(ws.imgbuild("images").out, "piped")
    copy(ws, "store:zipped:1", "oci-archive:z.tar", store="s1")
    trees.require_same(oci.load(ws.path / "z.tar").tree(), made.tree(), "the files")


def test_stored_image_is_whole(ws):
    """An image that was copied into the store can be run, and built upon, when its source is gone."""
    machine.need_root()
    host = registry.Registry(ws)
    ws.build(ws.context({"Buildfile": "FROM busybox\nRUN echo hello > /hello\n"}), "-t", f"{host.host}/app:1", "--push")
    copy(ws, f"docker://{host.host}/app:1", "store:mine:1", store="s1")
    os.killpg(host.process.pid, 9)
    equal(ws.imgbuild("run", "mine:1", "cat", "/hello", env={"IMGBUILD_ROOT": ws.path / "s1"}).out, "hello\n", "what it printed")


def test_platform(ws):
    """Of an index the image for --platform is copied; one that there is not is an error with what there is."""
    machine.need("skopeo")
    image(ws)
    host = registry.Registry(ws)
    digest = copy(ws, "store:app:1", f"docker://{host.host}/app:one").out.strip()
    _, manifest = host.manifest("app", "one")
    kind = "application/vnd.oci.image.index.v1+json"
    with host.request(f"/v2/app/manifests/{digest}", Accept=registry.MANIFESTS) as answer:
        size = len(answer.read())
    host.put_manifest("app", "all", {"schemaVersion": 2, "mediaType": kind, "manifests": [
        {"mediaType": manifest["mediaType"], "digest": digest, "size": size,
         "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}]}, kind)
    equal(copy(ws, f"docker://{host.host}/app:all", "oci:arm:1", "--platform", "linux/arm64").out.strip(), digest, "the digest")
    contains(copy(ws, f"docker://{host.host}/app:all", "oci:x:1", "--platform", "linux/s390x", code=10).err, "linux/arm64")


def test_refusals(ws):
    """Places that are none, names that are not there, archives that are none: what is wrong and what to do."""
    image(ws)
    for source, destination, code, words in (
            ("app:1", "oci:x", 2, ["'app:1'", "store:NAME", "docker://NAME"]),
            ("store:", "oci:x", 2, ["no name"]),
            ("store:app:1", "oci:", 2, ["no path"]),
            ("store:none:1", "oci:x", 2, ["none:1", "imgbuild images"]),
            ("store:app:1", "docker://127.0.0.1:1/app:1", 10, ["127.0.0.1:1", "no connection"]),
            ("oci:none", "store:x:1", 11, ["none"]),
            ("oci-archive:none.tar", "store:x:1", 11, ["none.tar"]),
            ("oci-archive:context/two", "store:x:1", 11, ["context/two", "no tar"]),
            ("oci-archive:out.tar:other", "store:x:1", 10, ["'other'", "there are"]),
            ("docker-archive:out.tar", "store:x:1", 11, ["manifest.json", "docker save"]),
            ("store:app:1", "oci-archive:no/such/folder/x.tar", 11, ["no/such/folder"]),
            ("store:app:1", f"docker://127.0.0.1:1/app@sha256:{'1' * 64}", 2, ["digest", "tag"])):
        err = copy(ws, source, destination, code=code).err
        contains(err, *words)
        lacks(err, "std::", "imgbuild::")
    lacks(ws.imgbuild("images").out, "x:1")
