"""COPY and ADD: which files arrive, from where, and that nothing of them is lost on the way."""
import hashlib
import io
import os
import struct
import subprocess
import tarfile

import machine
import oci
import trees
from expect import contains, equal, expect, lacks
from webserver import WebServer


def build_error(ws, text, code, files=None, *arguments):
    context = ws.context({**(files or {}), "Buildfile": text})
    return ws.build(context, *arguments, code=code).err


# ---------------------------------------------------------------- --parents, --link

def test_copy_parents(ws):
    """COPY --parents keeps the directories of its sources with their modes, from /./ on if they have one."""
    context = ws.context({"a/b/c/1.txt": "1", "a/b/2.txt": "2", "q.txt": "q", "Buildfile": """\
FROM scratch AS stage
COPY --parents a/b/2.txt q.txt /plain/
COPY --parents a/./b/c /pivot
COPY --parents **/*.txt /deep/
COPY --parents --exclude=a/b/c a /less/
FROM scratch
COPY --from=stage --parents /plain/./a/b/2.txt /again/
COPY --from=stage / /all
"""})
    os.chmod(context / "a/b", 0o750)
    tree = ws.build_image(context).tree()
    files = sorted(path for path, node in tree.items() if node.type == "file")
    equal(files, ["again/a/b/2.txt", "all/deep/a/b/2.txt", "all/deep/a/b/c/1.txt", "all/deep/q.txt",
                  "all/less/a/b/2.txt", "all/pivot/b/c/1.txt", "all/plain/a/b/2.txt", "all/plain/q.txt"], "the files")
    equal(oct(tree["again/a/b"].mode), "0o750", "the mode of a directory on the way")
    contains(build_error(ws, "FROM scratch\nCOPY --parents a/none /x/\n", 11, {"q": ""}), "a/none", "Buildfile:2")


def test_copy_link(ws):
    """The layer of a COPY --link is one and the same on every base, and follows no link of it."""
    context = ws.context({"file": "x", "Buildfile": """\
FROM busybox AS one
RUN mkdir /real && ln -s real /dir
COPY --link --chown=builder:staff file /dir/
FROM busybox AS two
ENV A=1
RUN echo something else > /else
COPY --link --chown=builder:staff file /dir/
"""})
    one = ws.build_image(context, "--target", "one")
    two = ws.build_image(context, "--target", "two")
    equal(one.config["rootfs"]["diff_ids"][-1], two.config["rootfs"]["diff_ids"][-1], "the layers of COPY --link")
    tree = one.tree()
    equal((tree["dir"].type, tree["dir/file"].owner), ("dir", (1000, 50)), "what is at the destination")
    expect("real/file" not in tree, "the link of the base was followed")


def test_copy_link_is_found_after_a_change_below(ws):
    """A change below a COPY --link leaves it cached, and a RUN on top of it sees the merged files."""
    context = ws.context({"file": "x", "Buildfile": """\
FROM busybox
ARG V=1
RUN echo $V > /version
COPY --link file /opt/
RUN cat /version /opt/file > /both
"""})
    ws.build(context)
    again = ws.build(context, "--build-arg", "V=2", "-o", f"type=oci,dest={ws.path / 'out.tar'}")
    expect("CACHED" in again.err or "cached" in again.err, "nothing was found")
    equal(oci.load(ws.path / "out.tar").read("both"), b"2\nx", "what the last step saw")


# ---------------------------------------------------------------- ADD by URL

def trees_newest(later, earlier):
    return later.mtime > earlier.mtime >= 315532800


LAST_MODIFIED = "Tue, 15 Nov 1994 12:45:26 GMT"


def test_add_url(ws):
    """ADD of a URL: mode 600, the server's time if it is older than the layer, the URL's name below a directory."""
    pages = {"/dir/a%20b.bin": (200, {"Last-Modified": LAST_MODIFIED}, b"old"), "/new": b"new"}
    with WebServer(pages) as web:
        context = ws.context({"Buildfile": f"""\
FROM busybox
ADD {web.url('/dir/a%20b.bin')} /down/
ADD --chown=builder --chmod=644 {web.url('/new')} {web.url('/dir/a%20b.bin?x=1')} /two/
ADD {web.url('/new')} /renamed
"""})
        tree = ws.build_image(context, "--source-date-epoch", "1700000000").tree()
    equal((oct(tree["down/a b.bin"].mode), tree["down/a b.bin"].owner), ("0o600", (0, 0)), "mode and owner")
    equal((oct(tree["two/new"].mode), tree["two/new"].owner), ("0o644", (1000, 1001)), "mode and owner as asked for")
    expect("two/a b.bin" in tree and "renamed" in tree, sorted(tree))
    expect(tree["down/a b.bin"].mtime <= 1700000000, "a time beyond the bound")
    equal(trees_newest(tree["renamed"], tree["two/new"]), True, "files without a time have that of their layer")


def test_add_url_time_is_in_the_key(ws):
    """Equal bytes that were modified at another time are another layer, as the time is in it."""
    pages = {"/f": (200, {"Last-Modified": "Thu, 01 Jan 1970 00:00:07 GMT"}, b"x")}
    with WebServer(pages) as web:
        context = ws.context({"Buildfile": f"FROM scratch\nADD {web.url('/f')} /f\n"})
        equal(ws.build_image(context).tree()["f"].mtime, 7, "the file's time")
        pages["/f"] = (200, {"Last-Modified": "Thu, 01 Jan 1970 00:00:08 GMT"}, b"x")
        equal(ws.build_image(context).tree()["f"].mtime, 8, "the file's time after it changed")


def test_add_url_checksum(ws):
    """--checksum: the wrong bytes are refused; the right ones are known without asking the server again."""
    digest = hashlib.sha256(b"text").hexdigest()
    with WebServer({"/f": b"text"}) as web:
        good = ws.context({"Buildfile": f"FROM scratch\nADD --checksum=sha256:{digest} {web.url('/f')} /f\n"})
        ws.build(good)
        ws.build(good)
        equal(len(web.asked), 1, "the number of requests")
        bad = f"FROM scratch\nADD --checksum=sha256:{'0' * 64} {web.url('/f')} /g\n"
        contains(build_error(ws, bad, 11), digest, "0" * 64, "Buildfile:2")
    with WebServer({}) as web:
        url = web.url("/f")
        for line, part in ((f"ADD --checksum=sha256:12 {url} /", "sha256:12"),
                           (f"ADD --checksum=sha256:{digest} {url} {url} /d/", "exactly one"),
                           (f"ADD --checksum=sha256:{digest} a /", "'a'")):
            contains(build_error(ws, f"FROM scratch\n{line}\n", 2, {"a": ""}), part, "Buildfile:2")
        equal(web.asked, [], "requests for what is refused at once")


def test_add_url_secrets(ws):
    """Secrets named after the host say who we are to it; they go nowhere else, and a whole header wins over a token."""
    pages = {"/f": lambda headers: b"secret page" if headers.get("Authorization") else (401, {}, b"who are you?")}
    with WebServer(pages) as web, WebServer({"/g": b"other"}) as other:
        pages["/away"] = (302, {"Location": other.url("/g").replace("127.0.0.1", "localhost")}, b"")
        file = f"FROM scratch\nADD {web.url('/f')} /f\nADD {web.url('/away')} /g\n"
        contains(build_error(ws, file, 11), "401", "Buildfile:2")
        context = ws.context({"Buildfile": file, "header": "Basic canary-5512\n"})
        token = ("--secret", "id=HTTP_AUTH_TOKEN_127.0.0.1,env=TOKEN")
        ws.build(context, *token, env={"TOKEN": "canary-5511"})
        header = ("--secret", f"id=HTTP_AUTH_HEADER_{web.host},src={context / 'header'}")
        ws.build(context, "--no-cache", *token, *header, env={"TOKEN": "canary-5511"})
        values = [value for _, value in web.asked if value]
        equal(values, ["Bearer canary-5511"] * 2 + ["Basic canary-5512"] * 2, "who we said we are")
        equal({value for _, value in other.asked}, {None}, "what another host is told")
    expect(ws.run("grep", "-r", "canary-551", ws.root, code=None).code == 1, "the secret is in the store")


def test_add_url_failures(ws):
    """A page that is not there, a body that ends early, a circle of redirects: an error with the line, and no file."""
    pages = {"/short": (200, {"Content-Length": "100"}, b"x"), "/round": (302, {"Location": "/round"}, b"")}
    with WebServer(pages) as web:
        for page, part in (("/none", "404"), ("/round", "redirects")):
            err = build_error(ws, f"FROM scratch\nADD {web.url(page)}?token=secret /f\n", 11)
            contains(err, part, "Buildfile:2")
            lacks(err.partition("error:")[2], "secret")


def test_add_url_redirect(ws):
    """A redirect is followed, and the file has the name of the URL that was written."""
    pages = {"/first": (302, {"Location": "/second"}, b""), "/second": b"there"}
    with WebServer(pages) as web:
        image = ws.build_image(ws.context({"Buildfile": f"FROM scratch\nADD {web.url('/first')} /d/\n"}))
    equal(image.read("d/first"), b"there", "what was downloaded")


def tar_bytes(mode="w"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:
        member = tarfile.TarInfo("in/side")
        member.size, member.mtime = 2, 7
        tar.addfile(member, io.BytesIO(b"hi"))
    return stream.getvalue()


def test_add_archives(ws):
    """Tars are unpacked by what is in them, whatever their names: plain, gzip, bzip2, xz, zstd; --unpack decides."""
    plain = tar_bytes()
    zstd = subprocess.run(["zstd", "-q", "-c"], input=plain, stdout=subprocess.PIPE, check=True).stdout
    files = {"plain.txt": plain, "gz.bin": tar_bytes("w:gz"), "bz": tar_bytes("w:bz2"), "x": tar_bytes("w:xz"), "z": zstd,
             "no.tar.gz": b"not a tar"}
    with WebServer({"/a.tar": plain}) as web:
        context = ws.context({**files, "Buildfile": f"""\
FROM scratch
ADD plain.txt /plain
ADD gz.bin /gz
ADD bz /bz
ADD x /x
ADD z /z
ADD no.tar.gz /
ADD --unpack=false plain.txt /packed
ADD {web.url('/a.tar')} /url-packed
ADD --unpack=true {web.url('/a.tar')} /url
"""})
        tree = ws.build_image(context).tree()
    for folder in ("plain", "gz", "bz", "x", "z", "url"):
        equal(tree[f"{folder}/in/side"].content[0], 2, f"{folder}/in/side")
    for path in ("no.tar.gz", "packed", "url-packed"):
        equal(tree[path].type, "file", path)


# ---------------------------------------------------------------- nothing is lost

def capability():
    """cap_net_bind_service=ep, version 2."""
    return struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)


def acl(*named):
    """An access list: owner rw-, the named users r--, group ---, mask r--, others ---."""
    entries = [(1, 6, 0xffffffff)] + [(2, 4, uid) for uid in named] + [(4, 0, 0xffffffff), (0x10, 4, 0xffffffff),
                                                                     (0x20, 0, 0xffffffff)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def precious_context(ws):
    """A directory with everything that a file can have and builders lose."""
    machine.need_root()
    context = ws.context({"d/plain": "x", "d/caps": "#!", "d/listed": "x", "d/setuid": ("x", 0o4755),
                          "d/setgid": ("x", 0o2755), f"d/{'n' * 255}": "long", "d/twin": "same"})
    top = context / "d"
    os.setxattr(top / "plain", "user.note", b"kept \x00 bytes")
    os.setxattr(top, "user.folder", b"too")
    os.setxattr(top / "caps", "security.capability", capability())
    os.setxattr(top / "listed", "system.posix_acl_access", acl(1000))
    os.link(top / "twin", top / "zwilling")
    with open(os.fsencode(top) + b"/not-utf8-\xff\xfe", "wb") as stream:
        stream.write(b"bytes")
    with open(top / "sparse", "wb") as stream:
        stream.truncate(50 << 20)
        stream.seek(40 << 20)
        stream.write(b"island")
    os.mkfifo(top / "fifo", 0o640)
    os.mknod(top / "null", 0o020666, os.makedev(1, 3))
    os.chmod(top / "null", 0o666)
    os.mkdir(top / "sticky")
    os.chmod(top / "sticky", 0o1777)
    deep = top / ("p" * 200) / ("q" * 200)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"deep")
    return context


def require_precious(tree, where):
    """`tree` is that of precious_context()'s d."""
    equal(tree["plain"].xattrs.get("user.note"), b"kept \x00 bytes", f"{where}: an attribute")
    equal(tree["caps"].xattrs.get("security.capability"), capability(), f"{where}: capabilities")
    equal(tree["listed"].xattrs.get("system.posix_acl_access"), acl(1000), f"{where}: an access list")
    equal((oct(tree["setuid"].mode), oct(tree["setgid"].mode)), ("0o4755", "0o2755"), f"{where}: set-id bits")
    equal(oct(tree["sticky"].mode), "0o1777", f"{where}: a sticky directory")
    equal(tree["n" * 255].content[0], 4, f"{where}: a long name")
    expect(tree["twin"] is tree["zwilling"], f"{where}: hard links are files of their own")
    expect("not-utf8-\udcff\udcfe" in tree, f"{where}: a name that is no UTF-8 is missing")
    equal(tree["sparse"].content[0], 50 << 20, f"{where}: the size of a sparse file")
    equal((tree["fifo"].type, oct(tree["fifo"].mode)), ("fifo", "0o640"), f"{where}: a fifo")
    equal((tree["null"].type, tree["null"].content), ("char", (1, 3)), f"{where}: a device")
    equal(tree["p" * 200 + "/" + "q" * 200 + "/file"].content[0], 4, f"{where}: a path longer than a tar header has")


def below(tree, folder):
    return {path[len(folder) + 1:]: node for path, node in tree.items() if path.startswith(f"{folder}/")}


def test_nothing_is_lost_by_copy(ws):
    """Attributes, capabilities, access lists, links, holes, special files, odd names: COPY, a step and COPY --from keep
    them, and an output of plain files has them too."""
    context = precious_context(ws)
    (context / "Buildfile").write_text("""\
FROM busybox AS one
COPY d /d
RUN true > /touched
FROM busybox
COPY --from=one /d /e
RUN mkdir /f && cp -a /e/plain /f/ && ls /e > /dev/null
""")
    image = ws.build_image(context, "-o", f"type=local,dest={ws.path / 'files'}")
    require_precious(below(image.tree(), "e"), "COPY --from")
    equal(image.tree()["e"].xattrs.get("user.folder"), None, "the attribute of a directory whose contents are copied")
    equal(oct(image.tree()["f/plain"].mode), "0o644", "what a step copied")
    plain = trees.of_directory(ws.path / "files")
    require_precious({**below(plain, "e")}, "type=local")
    expect(os.stat(ws.path / "files/e/sparse").st_blocks * 512 < 10 << 20, "the hole was filled")


def test_nothing_is_lost_by_add(ws):
    """A tar with the same oddities, as GNU tar writes it, comes out of ADD as it went in."""
    context = precious_context(ws)
    ws.run("tar", "--xattrs", "--xattrs-include=*", "--sparse", "--numeric-owner", "-cf", context / "all.tar", "-C",
           context / "d", ".")
    (context / "Buildfile").write_text("FROM scratch\nADD all.tar /e/\n")
    tree = below(ws.build_image(context).tree(), "e")
    require_precious(tree, "ADD")


def test_chmod_replaces_an_access_list(ws):
    """With --chmod who may do what is said there, so a list of the source does not come along."""
    context = precious_context(ws)
    (context / "Buildfile").write_text("FROM scratch\nCOPY --chmod=640 d/listed /listed\n")
    node = ws.build_image(context).tree()["listed"]
    equal((oct(node.mode), node.xattrs), ("0o640", {}), "mode and attributes")


def test_opaque_directories(ws):
    """A directory that a step removed and made again has only the new files, in the image and for later steps."""
    context = ws.context({"Buildfile": """\
FROM busybox AS base
RUN mkdir -p /d/sub && touch /d/old /d/sub/old
FROM base
RUN rm -rf /d && mkdir -p /d/sub && touch /d/new
RUN ls -R /d > /seen
COPY --from=base /d /copied
"""})
    image = ws.build_image(context)
    equal(sorted(below(image.tree(), "d")), ["new", "sub"], "what is in the directory")
    lacks(image.read("seen").decode(), "old")
    equal(sorted(below(image.tree(), "copied")), ["old", "sub", "sub/old"], "what the other stage has")


def test_times(ws):
    """Files of the context have the layer's time, those of archives and stages their own if it is older."""
    context = ws.context({"file": "x", "Buildfile": """\
FROM busybox AS one
ADD a.tar /
RUN touch -d @1000 /older
FROM busybox
COPY --from=one /in/side /older /kept/
COPY file /
"""})
    (context / "a.tar").write_bytes(tar_bytes())
    tree = ws.build_image(context).tree()
    equal((tree["kept/side"].mtime, tree["kept/older"].mtime), (7, 1000), "times of another stage")
    expect(315532800 <= tree["file"].mtime < 1 << 31, f"the time of a context file: {tree['file'].mtime}")


def test_socket_is_refused(ws):
    """A socket in the context cannot be in an image: an error that names it, unless nobody asks for it."""
    import socket
    context = ws.context({"a": "x", "Buildfile": "FROM scratch\nCOPY . /\n"})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(context / "sock"))
        contains(ws.build(context, code=11).err, "'sock'", ".dockerignore")
    (context / "Buildfile").write_text("FROM scratch\nCOPY a /\n")
    ws.build(context)  # paths that no instruction names are not looked at
