"""How imgbuild says no: the thing, the reason, a way out, the exit code of DESIGN section 2, and no half a result."""
import os
import pathlib
import re
import shutil

import machine
import registry
from expect import contains, equal, expect, lacks, matches
from workspace import binary


def refuse(ws, buildfile, *arguments, code, files=None):
    """Builds into an archive, expects the exit code and no archive; returns what stands on stderr."""
    context = ws.context({**(files or {}), "Buildfile": buildfile})
    done = ws.build(context, "-o", "type=oci,dest=out.tar", "-t", "no:1", *arguments, code=code)
    expect(not (ws.path / "out.tar").exists(), "a partial archive is left behind")
    equal(done.out, "", "stdout")
    equal([path.name for path in ws.path.glob("*.tar*")], [], "left files")
    lacks(ws.imgbuild("images").out, "no:1")
    lacks(done.err, "imgbuild::", "std::", "terminate called")
    return done.err


def test_failing_command(ws):
    """A failing command shows the end of its log, the marked line of the Buildfile, its exit code and its full log."""
    machine.need_root()
    err = refuse(ws, "FROM busybox\nRUN echo fine\nRUN for i in $(seq 5000); do echo line-$i; done; exit 42\nRUN echo never\n",
                 code=1)
    contains(err, "line-5000", "42", "Buildfile:3")
    matches(err, r"(?m)^\s*(>>>|3 \|? ?>>>|\s*3 \|).*RUN for i|>>> .*RUN for i")
    log = matches(err, r"(/\S+/logs/\S+?)[\s'\")]*$").group(1)
    text = pathlib.Path(log).read_text()
    contains(text, "line-1\n", "line-5000\n")
    expect(not re.search(r"^#\d+ .*echo never", err, re.M), "a step after the failure was begun")


def test_killed_by_signal(ws):
    """A step that a signal ends says so."""
    machine.need_root()
    err = refuse(ws, "FROM busybox\nRUN kill -9 $$\n", code=1)
    matches(err, r"137|SIGKILL|signal 9")


def test_missing_command(ws):
    """A program that the image lacks is named."""
    machine.need_root()
    contains(refuse(ws, 'FROM busybox\nRUN ["/no/such/program"]\n', code=1), "/no/such/program", "Buildfile:2")


def test_missing_file(ws):
    """COPY of a file that is not there names the file, the line, and a file that looks like it or the ignore rule."""
    err = refuse(ws, "FROM scratch\nCOPY a /\nCOPY no-such-file /\n", code=11, files={"a": "", "no-such-fill": ""})
    contains(err, "no-such-file", "Buildfile:3")


def test_ignored_file(ws):
    """COPY of a file that .dockerignore hides says that this is why."""
    err = refuse(ws, "FROM scratch\nCOPY hidden /\n", code=11, files={"hidden": "", ".dockerignore": "hidden\n"})
    contains(err, "hidden", ".dockerignore")


def test_unknown_instruction(ws):
    """An unknown instruction is named with its line and the nearest known one."""
    err = refuse(ws, "FROM scratch\nCOPPY a /\n", code=2)
    contains(err, "COPPY", "COPY", "Buildfile:2")
    matches(err, r"did you mean")


def test_all_errors_at_once(ws):
    """Several mistakes of a file are told in one go."""
    err = refuse(ws, "FROM scratch\nCOPPY a /\nRUM b\n", code=2)
    contains(err, "COPPY", "RUM", "Buildfile:2", "Buildfile:3")


def test_unknown_flag(ws):
    """An unknown flag of an instruction is named with the nearest known one."""
    err = refuse(ws, "FROM scratch\nCOPY --chwon=1 a /\n", code=2)
    contains(err, "chwon", "chown", "Buildfile:2")


def test_flags_not_there_yet(ws):
    """What is not supported yet is refused by name and line, never ignored."""
    for line, word in (("RUN --device=x/y=z true", "--device"), ("ADD https://example.invalid/x.git /", "git"),
                       ("ADD --keep-git-dir=true git@example.invalid:x.git /", "git")):
        err = refuse(ws, f"FROM busybox\n{line}\n", code=2, files={"a": ""})
        contains(err, word, "Buildfile:2")


def test_unknown_option(ws):
    """An unknown option of the command line is a usage error."""
    done = ws.imgbuild("build", "--no-such-option", ".", code=2)
    contains(done.err, "--no-such-option")
    contains(ws.imgbuild("no-such-command", code=None).err, "no-such-command")


def test_no_build_file(ws):
    """A context without a build file is told which names were looked for."""
    (ws.path / "empty").mkdir()
    done = ws.imgbuild("build", ws.path / "empty", code=None)
    expect(done.code in (2, 11), f"exit {done.code}")
    contains(done.err, "Buildfile", "Dockerfile", "-f")


def test_missing_context(ws):
    """A context that is not there is named."""
    done = ws.imgbuild("build", ws.path / "nowhere", code=None)
    expect(done.code in (2, 11), f"exit {done.code}")
    contains(done.err, "nowhere")


def test_bad_output(ws):
    """An output that is not supported is refused before anything runs."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo ran\n"})
    done = ws.build(context, "-o", "type=cartridge,dest=x", code=2)
    contains(done.err, "cartridge")
    lacks(done.err, "ran\n")


def test_unwritable_output(ws):
    """An output whose folder is not there is named, and no image is announced."""
    context = ws.context({"Buildfile": "FROM scratch\nLABEL a=b\n"})
    done = ws.build(context, "-o", "type=oci,dest=no/such/folder/out.tar", code=None)
    expect(done.code not in (0, 100), f"exit {done.code}")
    contains(done.err, "no/such/folder")


def test_unknown_target(ws):
    """--target of a stage that is not there names the stages that are."""
    err = refuse(ws, "FROM scratch AS one\nFROM scratch AS two\n", "--target", "tow", code=2)
    contains(err, "tow", "two")


def test_bad_reference(ws):
    """A name that no image can have is refused."""
    context = ws.context({"Buildfile": "FROM scratch\nLABEL a=b\n"})
    contains(ws.imgbuild("build", "-t", "UPPER/Case", context, code=2).err, "UPPER/Case")


def test_unreachable_registry(ws):
    """A registry that does not answer is named, with the reason; the build ends with 10."""
    port = registry.free_port()
    err = refuse(ws, f"FROM 127.0.0.1:{port}/a/b:c\n", code=10)
    contains(err, f"127.0.0.1:{port}", "Buildfile:1")
    matches(err, r"(?i)refused|connect")


def test_unknown_image(ws):
    """An image that the registry does not have is named, with 10."""
    host = registry.Registry(ws).host
    err = refuse(ws, f"FROM {host}/no/such:image\n", code=10)
    contains(err, f"{host}/no/such:image")
    matches(err, r"(?i)not found|unknown|404|no such")


def test_push_to_nowhere(ws):
    """A push that fails ends with 10 and keeps the finished image in the store."""
    port = registry.free_port()
    context = ws.context({"Buildfile": "FROM busybox\nLABEL a=b\n"})
    done = ws.build(context, "-t", f"127.0.0.1:{port}/app:1", "--push", code=10)
    contains(done.err, f"127.0.0.1:{port}")


def corrupted_layout(ws, media_type):
    """A copy of the busybox layout with one changed byte in the blob of this media type."""
    import oci
    source = pathlib.Path(ws.busybox().removeprefix("oci-layout://"))
    copy = ws.path / "corrupted"
    shutil.copytree(source, copy)
    manifest = oci.load(copy).manifest
    descriptor = manifest["config"] if media_type == "config" else manifest["layers"][0]
    blob = copy / "blobs/sha256" / descriptor["digest"].partition(":")[2]
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    return copy, descriptor["digest"]


def test_corrupted_layer(ws):
    """A base whose layer does not have its digest is refused by that digest; nothing of it stays in the store."""
    layout, digest = corrupted_layout(ws, "layer")
    context = ws.context({"Buildfile": "FROM base\nRUN true\n"})
    done = ws.imgbuild("build", "--build-context", f"base=oci-layout://{layout}", "-o", "type=oci,dest=out.tar", context,
                       code=None)
    expect(done.code in (10, 11), f"exit {done.code}\n{done.story()}")
    contains(done.err, digest.partition(":")[2][:12])
    expect(not (ws.path / "out.tar").exists(), "a partial archive is left behind")
    # The true blob is asked for again: the store did not keep the false one.
    good = ws.context({"Buildfile": "FROM busybox\nRUN true\n"}, name="good")
    ws.build(good)


def test_corrupted_config(ws):
    """A base whose config does not have its digest is refused."""
    layout, digest = corrupted_layout(ws, "config")
    context = ws.context({"Buildfile": "FROM base\nRUN true\n"})
    done = ws.imgbuild("build", "--build-context", f"base=oci-layout://{layout}", context, code=None)
    expect(done.code in (10, 11), f"exit {done.code}\n{done.story()}")
    contains(done.err, digest.partition(":")[2][:12])


def test_hostile_layer(ws):
    """A base whose layer climbs out of its root is refused, and writes nothing outside."""
    import io
    import tarfile

    import busybox
    victim = ws.path / "victim"
    for name, link in (("../" * 12 + str(victim)[1:], None), (str(victim), None), ("escape/victim", str(ws.path))):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            if link:
                info = tarfile.TarInfo("escape")
                info.type, info.linkname = tarfile.SYMTYPE, link
                tar.addfile(info)
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"evil"))
        layout = ws.path / f"hostile-{len(list(ws.path.glob('hostile-*')))}"
        busybox.write_layout(layout, {}, [buffer.getvalue()])
        context = ws.context({"Buildfile": "FROM base\nCOPY x /x\n", "x": ""})
        ws.imgbuild("build", "--build-context", f"base=oci-layout://{layout}", "-o", "type=oci,dest=out.tar", context,
                    code=None)
        expect(not victim.exists(), f"{name} was written outside of the root")


def test_output_is_a_device(ws):
    """An archive for a device or a pipe is written to it; nothing is put in its place, and a directory is refused."""
    context = ws.context({"Buildfile": "FROM scratch\nCOPY a /\n", "a": "1"})
    os.mkfifo(ws.path / "pipe")
    reader = os.open(ws.path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        ws.build(context, "-o", "type=oci,dest=pipe")
        expect((ws.path / "pipe").is_fifo(), "the pipe was replaced by a file")
        expect(os.read(reader, 512), "nothing came through the pipe")
    finally:
        os.close(reader)
    contains(ws.build(context, "-o", f"type=oci,dest={ws.path}", code=11).err, str(ws.path), "directory")


def test_closed_streams(ws):
    """Without standard error a build is silent and well; without standard output its result cannot be told."""
    context = ws.context({"Buildfile": "FROM scratch\nCOPY a /\n", "a": "1"})
    ws.run("sh", "-c", 'exec "$0" build "$1" 2>&-', binary(), context)
    ws.run("sh", "-c", 'exec "$0" build "$1" >&-', binary(), context, code=11)
    ws.run("sh", "-c", 'exec "$0" build "$1" >&- 2>&- <&-', binary(), context, code=11)
    equal(ws.imgbuild("images", "-q").out.count("\n"), 1, "images")
