"""Where the context and the build file come from: directories, standard input, URLs, by name; which ignore file counts."""
import io
import os
import tarfile

from expect import contains, equal, expect, lacks
from webserver import WebServer

BUILDFILE = "FROM scratch\nCOPY . /all\n"


def tar_of(files, mode="w"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.uid, member.gid, member.mtime = len(text), 1234, 1234, 5
            tar.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


def test_tar_on_stdin(ws):
    """A tar on standard input is the context, compressed or not; its files belong to root and have the layer's time."""
    for mode in ("w", "w:gz", "w:xz", "w:bz2"):
        data = tar_of({"Dockerfile": BUILDFILE, "./sub/file": "x", ".dockerignore": "sub\n"}, mode)
        tree = ws.build_image("-", stdin=data).tree()
        equal(tree["all/sub/file"].owner, (0, 0), "the owner")
        expect(tree["all/sub/file"].mtime >= 315532800, "the time of the archive is in the image")
    other = tar_of({"deep/My.file": "FROM scratch\nCOPY a /b\n", "a": "x"})
    expect("b" in ws.build_image("-", "-f", "deep/My.file", stdin=other).tree(), "-f names a file of the tar")
    contains(ws.build("-", stdin=tar_of({"a": "x"}), code=11).err, "Dockerfile", "standard input")
    hostile = tar_of({"Dockerfile": BUILDFILE, "../evil": "x"})
    contains(ws.build("-", stdin=hostile, code=11).err, "evil")


def test_build_file_on_stdin(ws):
    """A build file on standard input: alone with '-', beside a directory with '-f -'."""
    image = ws.build_image("-", stdin=b"FROM scratch\nCOPY <<E /f\ntext\nE\n")
    equal(image.read("f"), b"text\n", "the file")
    context = ws.context({"a": "x"})
    expect("b" in ws.build_image(context, "-f", "-", stdin=b"FROM scratch\nCOPY a /b\n").tree(), "no file of the context")
    contains(ws.build("-", stdin=b"FROM scratch\nCOPY a /b\n", code=11).err, "'a'")
    contains(ws.build("-", "-f", "-", stdin=b"FROM scratch\n", code=2).err, "standard input")
    contains(ws.build("-", "-f", "x", stdin=b"FROM scratch\n", code=2).err, "'x'")
    contains(ws.build("-", code=2).err, "empty")


def test_url(ws):
    """A URL is a tar, which is the context, or a build file; -f takes a URL too."""
    pages = {"/c.tar": tar_of({"Buildfile": BUILDFILE, "file": "x"}, "w:gz"), "/File": b"FROM scratch\nCOPY a /b\n",
             "/Alone": b"FROM scratch\nCOPY <<E /f\nE\n"}
    with WebServer(pages) as web:
        expect("all/file" in ws.build_image(web.url("/c.tar")).tree(), "no file of the tar")
        expect("f" in ws.build_image(web.url("/Alone")).tree(), "the build file alone")
        context = ws.context({"a": "x"})
        expect("b" in ws.build_image(context, "-f", web.url("/File")).tree(), "the build file by URL")
        contains(ws.build(web.url("/none"), code=11).err, "404")
        tree = ws.build_image(ws.context({"Buildfile": "FROM scratch\nCOPY --from=tar file /named\n"}), "--build-context",
                              f"tar={web.url('/c.tar')}").tree()
        expect("named" in tree, "no file of the named context")


def test_named_contexts(ws):
    """--build-context takes the place of an image, a stage or a --from; each obeys the ignore file in its root."""
    other = ws.context({"keep": "k", "drop": "d", ".dockerignore": "drop\n"}, name="other")
    context = ws.context({"Buildfile": """\
FROM scratch AS stage
COPY a /wrong
FROM scratch
COPY --from=stage / /stage
COPY --from=example.com/image:1 keep /image
"""})
    tree = ws.build_image(context, "--build-context", f"stage={other}", "--build-context",
                          f"example.com/image:1={other}").tree()
    files = sorted(path for path, node in tree.items() if node.type == "file")
    equal(files, ["image", "stage/.dockerignore", "stage/keep"], "the files")
    contains(ws.build(context, "--build-context", "stage=/no/such/place", "--build-context",
                      f"example.com/image:1={other}", code=11).err, "/no/such/place")


def test_ignore_files(ws):
    """The ignore file beside the build file wins over the context's; --ignorefile over both; .containerignore first."""
    context = ws.context({"a": "", "b": "", "c": "", ".dockerignore": "a\n.*\n*file*", "Buildfile": BUILDFILE,
                          "other/My.file": BUILDFILE, "other/My.file.dockerignore": "b\nother\n.*\n*file*\n"})
    files = {"Buildfile": ["b", "c"], "other/My.file": ["a", "c"]}
    for build_file, expected in files.items():
        tree = ws.build_image(context, "-f", context / build_file).tree()
        equal(sorted(p for p in tree if p in ("all/a", "all/b", "all/c")), [f"all/{name}" for name in expected], build_file)
    mine = ws.write("mine", "c\n")
    tree = ws.build_image(context, "-f", context / "other/My.file", "--ignorefile", mine).tree()
    equal(sorted(p for p in tree if p in ("all/a", "all/b", "all/c")), ["all/a", "all/b"], "--ignorefile")
    ws.write("context/.containerignore", "b\n")
    tree = ws.build_image(context).tree()
    expect("all/a" in tree and "all/b" not in tree, ".containerignore is read first")
    contains(ws.build(context, "--ignorefile", "/no/such", code=11).err, "/no/such")


def test_build_file_search(ws):
    """Buildfile, Dockerfile, Containerfile, dockerfile: the first that is there."""
    names = ["Buildfile", "Dockerfile", "Containerfile", "dockerfile"]
    context = ws.context({name: f"FROM scratch\nCOPY <<E /{name}.txt\nE\n" for name in names})
    for name in names:
        equal(list(ws.build_image(context).tree()), [f"{name}.txt"], "the file that was built")
        os.unlink(context / name)
    contains(ws.build(context, code=11).err, "Buildfile", "-f")


def test_git_is_refused(ws):
    """A git repository as the context is refused with what to do instead."""
    for where in ("https://example.invalid/a.git", "git@example.invalid:a.git", "ssh://example.invalid/a"):
        err = ws.build(where, code=2).err
        contains(err, where, "clone")
        lacks(err, "internal")
