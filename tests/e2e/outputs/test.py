"""-o: where an image and its files go, several at a time, whole or not at all; --metadata-file, --squash, annotations."""
import hashlib
import io
import json
import os
import tarfile

import oci
import trees
from expect import contains, equal, expect, lacks

BUILDFILE = """\
FROM busybox AS base
RUN mkdir /d && echo old > /d/gone && echo x > /d/file && ln /d/file /d/twin && chmod 750 /d \\
 && mkfifo -m 640 /d/pipe && ln /d/pipe /d/same-pipe && ln -s file /d/soft && ln /d/soft /d/same-soft
FROM base
RUN rm /d/gone && echo new > /added && ln -s d/file /link
"""


def context_of(ws, text=BUILDFILE, **files):
    return ws.context({**files, "Buildfile": text})


def test_local(ws):
    """-o DIR and type=local: the files of the image in a directory, as they are in the image; what is there stays."""
    out = ws.path / "out"
    image = ws.build_image(context_of(ws), "-o", str(out))
    expected = {path: node for path, node in image.tree().items() if path}
    got = {path: node for path, node in trees.of_directory(out).items() if path}
    for node in [*expected.values(), *got.values()]:
        node.owner = None  # files belong to whoever builds
    trees.require_same(expected, got, "image and directory")
    (out / "mine").write_text("stays")
    ws.build(context_of(ws), "-o", f"type=local,dest={out}")
    equal((out / "mine").read_text(), "stays", "a file that was there")
    equal([name for name in os.listdir(out) if name.startswith(".imgbuild")], [], "what is left over")


def test_local_conflict_changes_nothing(ws):
    """A directory where the image has a file: refused before anything is written."""
    out = ws.path / "out"
    (out / "added").mkdir(parents=True)
    err = ws.build(context_of(ws), "-o", out, code=2).err
    contains(err, "'added'")
    equal(os.listdir(out), ["added"], "what is in the directory")


def test_local_split(ws):
    """platform-split=true puts the files below the platform's name."""
    ws.build(context_of(ws), "-o", f"type=local,dest={ws.path / 'out'},platform-split=true")
    equal(os.listdir(ws.path / "out"), ["linux_amd64"], "the directory")
    expect((ws.path / "out/linux_amd64/added").exists(), "no files")


def test_tar(ws):
    """type=tar and -o -: one tar with all files, nothing hidden in it, links as links."""
    image = ws.build_image(context_of(ws), "-o", f"type=tar,dest={ws.path / 'a.tar'}")
    with open(ws.path / "a.tar", "rb") as stream:
        tree = trees.of_tar(stream)
    trees.require_same(image.tree(), tree, "image and tar")
    lacks("\n".join(tree), ".wh.")
    import subprocess
    import workspace
    done = subprocess.run([workspace.binary(), "build", "-q", "--build-context", f"busybox={ws.busybox()}", "-o", "-",
                           str(ws.path / "context")], stdout=subprocess.PIPE, env=ws.environment(), check=True)
    equal(done.stdout, (ws.path / "a.tar").read_bytes(), "the tar on standard output")


def test_several_outputs(ws):
    """One build writes an archive, a layout, a tar and a directory; image and manifest are the same in all."""
    names = {kind: ws.path / kind for kind in ("archive", "layout", "tar", "dir")}
    ws.build(context_of(ws), "-o", f"type=oci,dest={names['archive']}", "-o", f"type=oci,tar=false,dest={names['layout']}",
             "-o", f"type=tar,dest={names['tar']}", "-o", names["dir"])
    equal(oci.load(names["archive"]).digest, oci.load(names["layout"]).digest, "digests")
    expect(names["tar"].exists() and (names["dir"] / "added").exists(), "an output is missing")
    contains(ws.build(context_of(ws), "-o", names["tar"], "-o", f"type=tar,dest={names['tar']}", code=2).err, "two outputs")


def test_archive_is_the_same_however_it_comes(ws):
    """Layers that go into the archive while they are packed stand where a copy from the store puts them."""
    for kind in ("oci", "docker", "oci,compression=zstd"):
        big = f"echo {kind} > /kind; head -c 12000000 /dev/urandom > /big"
        context = context_of(ws, f"FROM busybox\nRUN {big}1\nRUN echo 2 > /2\nRUN {big}2\nCOPY more /more\n", more="more")
        packed, copied = ws.path / "packed.tar", ws.path / "copied.tar"
        done = ws.build(context, "-t", "app:1", "-o", f"type={kind},dest={packed}")
        contains(done.err, "pack the layers")
        again = ws.build(context, "-t", "app:1", "-o", f"type={kind},dest={copied}")
        contains(again.err, "CACHED")
        expect(packed.read_bytes() == copied.read_bytes(), f"{kind}: another archive")
        equal(len(oci.load(packed).manifest["layers"]), 5, "layers")


def test_cacheonly(ws):
    """type=cacheonly fills the cache and keeps no image."""
    ws.build(context_of(ws), "-t", "app:1", "-o", "type=cacheonly")
    lacks(ws.imgbuild("images").out, "app")
    contains(ws.build(context_of(ws)).err, "CACHED")


def test_failed_build_leaves_nothing(ws):
    """A build that fails writes no output, of no kind, and no metadata."""
    text = "FROM busybox\nRUN echo x > /x\nRUN exit 3\n"
    outputs = ["-o", f"type=oci,dest={ws.path / 'a'}", "-o", f"type=oci,tar=false,dest={ws.path / 'b'}", "-o",
               f"type=tar,dest={ws.path / 'c'}", "-o", str(ws.path / "d"), "--iidfile", ws.path / "e", "--metadata-file",
               ws.path / "f", "-t", "app:1"]
    before = set(os.listdir(ws.path))
    context = context_of(ws, text)
    ws.build(context, *outputs, code=1)
    equal(set(os.listdir(ws.path)) - before - {"context", "store"}, set(), "files")
    lacks(ws.imgbuild("images").out, "app")


def test_failed_output_leaves_nothing(ws):
    """An output that cannot be written leaves no half of itself."""
    (ws.path / "readonly").mkdir()
    (ws.path / "readonly/file").write_text("x")
    done = ws.build(context_of(ws), "-o", f"type=oci,tar=false,dest={ws.path / 'readonly/file'}", code=None)
    expect(done.code != 0, "written over a file")
    equal(os.listdir(ws.path / "readonly"), ["file"], "what is there")


def test_compression(ws):
    """gzip, zstd and none, with levels; force-compression changes layers of the base too; diff ids stay."""
    plain = ws.build_image(context_of(ws))
    for options, kind, all_of in (("compression=zstd", "zstd", False), ("compression=zstd,force-compression=true", "zstd", True),
                                  ("compression=uncompressed,force-compression=true", "tar", True),
                                  ("compression=gzip,compression-level=9", "gzip", True)):
        archive = ws.path / f"{hashlib.sha256(options.encode()).hexdigest()}.tar"
        ws.build(context_of(ws), "-o", f"type=oci,dest={archive},{options}")
        image = oci.load(archive)
        equal(image.config["rootfs"]["diff_ids"], plain.config["rootfs"]["diff_ids"], f"{options}: diff ids")
        types = [layer["mediaType"] for layer in image.manifest["layers"]]
        ours = types if all_of else types[1:]
        expect(all(media_type.endswith(kind) for media_type in ours), f"{options}: {types}")


def test_annotations(ws):
    """--annotation and annotation.…= land in the manifest or its descriptor, and in no image id."""
    plain = ws.build_image(context_of(ws))
    image = ws.build_image(context_of(ws), "--annotation", "org.example.a=1", "--annotation",
                           "manifest-descriptor:org.example.b=2")
    equal(image.manifest["annotations"], {"org.example.a": "1"}, "of the manifest")
    equal(image.annotations.get("org.example.b"), "2", "of the descriptor")
    equal(image.id, plain.id, "the image's id")
    archive = ws.path / "own.tar"
    ws.build(context_of(ws), "-o", f"type=oci,dest={archive},annotation.Key=v")
    equal(oci.load(archive).manifest["annotations"], {"Key": "v"}, "of one output")
    contains(ws.build(context_of(ws), "--annotation", "index:a=b", code=2).err, "index")


def test_metadata_file(ws):
    """--metadata-file has buildx's keys; --iidfile has the image's id."""
    archive, metadata, iid = ws.path / "a.tar", ws.path / "m.json", ws.path / "iid"
    ws.build(context_of(ws), "-t", "app:1", "-t", "app:2", "-o", f"type=oci,dest={archive}", "--metadata-file", metadata,
             "--iidfile", iid)
    got = json.loads(metadata.read_text())
    with tarfile.open(archive) as tar:
        index = json.load(tar.extractfile("index.json"))
    descriptor = index["manifests"][0]
    equal(got["containerimage.digest"], descriptor["digest"], "containerimage.digest")
    equal(got["containerimage.config.digest"], iid.read_text(), "containerimage.config.digest and the iidfile")
    equal(got["image.name"], "docker.io/library/app:1,docker.io/library/app:2", "image.name")
    equal({key: got["containerimage.descriptor"][key] for key in ("digest", "size", "mediaType")},
          {key: descriptor[key] for key in ("digest", "size", "mediaType")}, "containerimage.descriptor")
    equal(got["containerimage.descriptor"]["annotations"]["config.digest"], iid.read_text(), "config.digest")
    ws.build(context_of(ws), "--metadata-file", metadata, "--build-arg", "UNUSED=1", env={"BUILDX_METADATA_WARNINGS": "1"})
    got = json.loads(metadata.read_text())
    equal(got["containerimage.digest"], got["containerimage.config.digest"], "the digest of an image in the store")
    equal([warning["code"] for warning in got["buildx.build.warnings"]], ["build.unused-argument"], "warnings")


def test_squash(ws):
    """--squash makes one layer of the new ones, --squash=all of all; the files are the same, and so is a second run."""
    plain = ws.build_image(context_of(ws))
    new = ws.build_image(context_of(ws), "--squash")
    everything = ws.build_image(context_of(ws), "--squash=all")
    equal((plain.layer_count(), new.layer_count(), everything.layer_count()), (3, 2, 1), "layers")
    trees.require_same(plain.tree(), new.tree(), "--squash")
    trees.require_same(plain.tree(), everything.tree(), "--squash=all", ignore=("",))
    equal(new.config["rootfs"]["diff_ids"][0], plain.config["rootfs"]["diff_ids"][0], "the base's layer")
    lacks("\n".join(new.layer_tree(1)), "gone")
    equal(ws.build_image(context_of(ws), "--squash", "--no-cache").digest, new.digest, "the digest without cache")


def test_squash_hides_what_the_base_has(ws):
    """What the new layers removed, emptied or replaced of the base stays so in the one layer."""
    base = ws.context({"Buildfile": "FROM busybox\nRUN mkdir -p /a /b/c /e && touch /a/1 /a/2 /b/c/3 /e/4 /f && mkdir /g && touch /g/5\n"},
                      name="base")
    ws.build(base, "-o", f"type=oci,tar=false,dest={ws.path / 'layout'}")
    context = ws.context({"Buildfile": """\
FROM base
RUN rm /a/1 && rm -r /b && rm -r /e && mkdir /e && touch /e/new
RUN rm /f && mkdir /f && touch /f/in && rm -r /g && echo file > /g
RUN rm /f/in && ln /a/2 /a/link
"""})
    arguments = ("--build-context", f"base=oci-layout://{ws.path / 'layout'}")
    plain, squashed = ws.build_image(context, *arguments), ws.build_image(context, "--squash", *arguments)
    trees.require_same(plain.tree(), squashed.tree(), "--squash")
    equal(squashed.layer_count(), plain.layer_count() - 2, "layers")


def test_squash_follows_no_link(ws):
    """What a directory had, that became a link, goes with it, and nothing where the link leads."""
    context = ws.context({"Buildfile": """\
FROM busybox
RUN mkdir -p /var/www && echo one > /var/www/index && mkdir /plain && echo one > /plain/index
RUN mv /var/www /srv && ln -s /srv /var/www && rm -r /plain && echo file > /plain
"""})
    plain, squashed = ws.build_image(context), ws.build_image(context, "--squash")
    expect("srv/index" in squashed.tree(), sorted(squashed.tree()))
    trees.require_same(plain.tree(), squashed.tree(), "--squash")


def test_export_files(ws):
    """`export` writes the files of an image in the store as `build -o` does."""
    ws.build(context_of(ws), "-t", "app:1")
    ws.imgbuild("export", "app:1", "-o", ws.path / "out")
    expect((ws.path / "out/added").exists(), "no files")
    tar = ws.path / "a.tar"
    ws.imgbuild("export", "app:1", "-o", f"type=tar,dest={tar}")
    expect("added" in tarfile.open(tar).getnames(), "no files in the tar")
