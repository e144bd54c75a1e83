"""Root and a plain user build the same image, and neither leaves anything behind."""
import contextlib
import io
import json
import os
import shutil
import subprocess
import tarfile

import machine
import oci
import plain_user
from expect import contains, equal, expect

USER = "imgbuild-e2e"
BUILDFILE = """\
FROM busybox AS made
WORKDIR /work
COPY src ./src
RUN mkdir -p out/deep && cat src/* > out/all && ln out/all out/deep/all && chown -R 1000:50 out && chmod 2750 out/deep
RUN touch out/secret && chmod 600 out/secret && chown 33:33 out/secret && chmod 4711 out/all && mkfifo out/pipe
FROM busybox
COPY --from=made /work/out /opt/out
COPY --chown=builder:staff --chmod=0640 src /src
RUN rm /opt/out/all && mv /opt/out/deep /opt/moved && echo changed >> /src/a
USER builder
RUN id -u > /tmp/who && umask 077 && mkdir /tmp/mine
"""


@contextlib.contextmanager
def as_user(user):
    """Within it, the binary is run by `user`, or by root."""
    before = os.environ.pop("IMGBUILD_E2E_USER", None)
    if user:
        os.environ["IMGBUILD_E2E_USER"] = user
    try:
        yield
    finally:
        os.environ.pop("IMGBUILD_E2E_USER", None)
        if before is not None:
            os.environ["IMGBUILD_E2E_USER"] = before


def build(ws, context, user):
    with as_user(user):
        archive = ws.path / f"{user or 'root'}.tar"
        store = ws.path / f"store-{user or 'root'}"
        done = ws.build(context, "-o", f"type=oci,dest={archive}", env={"IMGBUILD_ROOT": store})
        return oci.load(archive), done, store


def test_same_digest(ws):
    """Owners, set-id bits, links and fifos: the digests of root's image and of the plain user's are equal."""
    machine.need_root()
    context = ws.context({"src/a": "a\n", "src/b": ("b\n", 0o600), "Buildfile": BUILDFILE})
    root, _, _ = build(ws, context, None)
    plain, _, store = build(ws, context, USER)
    equal(plain.digest, root.digest, "the digest")
    tree = root.tree()
    equal(tree["opt/moved"].owner, (1000, 50), "the owner of a directory")
    equal(tree["opt/out/secret"].owner, (33, 33), "the owner of a file that only its owner may read")
    equal(root.read("tmp/who"), b"1000\n", "who the user's step was")
    owners = {path.lstat().st_uid for path in (store / "layers").rglob("*")}
    expect(0 not in owners, "a file of the plain user's store belongs to root of this machine")
    expect(len(owners) >= 3, f"the trees have only the owners {owners}")


FOREIGN = """\
FROM busybox AS base
ADD foreign.tar /added/
COPY foreign.tar /
# The tar of busybox leaves links to root.
RUN mkdir /t && tar -xf /foreign.tar -C /t && rm /foreign.tar && chown -h 900000000:3000000000 /t/link && mknod /t/zero c 1 5 && mkfifo /t/own
RUN cd /t && chmod 600 null && mv file moved && chown 5 dir && chmod 640 pipe && mknod -m 600 dir/disk b 8 1
FROM base
RUN touch -h -d @5 /t/link /added/link && chmod 700 /added/dir && mv /added/null /added/moved
"""
UNKNOWN = (900_000_000, 3_000_000_000)


def foreign_tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, kind in (("dir", tarfile.DIRTYPE), ("file", tarfile.REGTYPE), ("link", tarfile.SYMTYPE),
                           ("pipe", tarfile.FIFOTYPE), ("null", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime, (info.uid, info.gid) = kind, 0o755, 1000, UNKNOWN
            info.linkname = "nowhere" if kind == tarfile.SYMTYPE else ""
            info.devmajor, info.devminor = (1, 3) if kind == tarfile.CHRTYPE else (0, 0)
            tar.addfile(info)
    return buffer.getvalue()


def test_same_digest_of_what_users_cannot_make(ws):
    """Devices and owners that the plain user's ids do not reach, of archives and of steps: equal digests, true owners."""
    machine.need_root()
    context = ws.context({"foreign.tar": foreign_tar(), "Buildfile": FOREIGN})
    root, _, _ = build(ws, context, None)
    plain, _, _ = build(ws, context, USER)
    tree = plain.tree()
    for path, owner in {"t/moved": UNKNOWN, "t/link": UNKNOWN, "t/pipe": UNKNOWN, "t/null": UNKNOWN, "t/own": (0, 0),
                        "t/dir": (5, UNKNOWN[1]), "added/dir": UNKNOWN, "added/link": UNKNOWN}.items():
        equal(tree[path].owner, owner, f"the owner of {path}")
    equal((tree["added/moved"].type, tree["added/moved"].content), ("char", (1, 3)), "a device of an archive")
    equal((tree["t/dir/disk"].type, tree["t/dir/disk"].content), ("block", (8, 1)), "a device of a step")
    equal(plain.digest, root.digest, "the digest")


def test_steps_of_root_are_nobody_outside(ws):
    """Root of a step that root builds has an id of nobody outside, where the machine can shift ids."""
    machine.need_root()
    context = ws.context({"Buildfile": "FROM busybox\nRUN cat /proc/self/uid_map && echo x > /owned\n"})
    with as_user(None):
        done = ws.build(context, "-t", "x:1")
    contains(done.err, " 2147483648 ")
    owners = {path.lstat().st_uid for path in (ws.root / "layers").rglob("owned")}
    equal(owners, {0}, "the owner in the store's tree, which is the image's")


def test_user_without_subordinate_ids(ws):
    """A plain user without an entry in /etc/subuid is told the command that makes one."""
    machine.need_root()
    context = ws.context({"Buildfile": "FROM scratch\n"})
    with as_user(USER):
        program = plain_user.reachable(os.path.abspath(os.environ["IMGBUILD"])) if "IMGBUILD" in os.environ else None
        import workspace
        program = program or workspace.binary()
        ws.path.chmod(0o777)
    # The last of the ids that Debian keeps for nobody in particular.
    done = ws.run("setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "--", program, "build", context, code=12)
    contains(done.err, "error: user '65533' has no subordinate ids in /etc/subuid")
    contains(done.err, "usermod --add-subuids")


def test_prune_all(ws):
    """`prune --all` leaves no layer, blob, log or begun work, though the trees belong to many ids."""
    machine.need_root()
    context = ws.context({"src/a": "a\n", "src/b": "b\n", "Buildfile": BUILDFILE})
    for user in (None, USER):
        _, _, store = build(ws, context, user)
        with as_user(user):
            environment = {"IMGBUILD_ROOT": store}
            ws.imgbuild("tag", json.loads(ws.imgbuild("images", "--json", env=environment).out)[0]["id"], "kept:1", env=environment)
            done = ws.imgbuild("prune", "--all", env=environment)
            contains(done.out, "removed: 1 images, ")
            equal(ws.imgbuild("images", "-q", env=environment).out, "", "the images left")
        left = [str(path.relative_to(store)) for name in ("layers", "blobs/sha256", "logs", "mounts")
                for path in (store / name).iterdir()]
        equal(left, [], f"what is left in the store of {user or 'root'}")
        equal(machine.unfinished(store), [], "what is left in the store's tmp")
