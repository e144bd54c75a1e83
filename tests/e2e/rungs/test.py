"""Root and a plain user build the same image, and neither leaves anything behind."""
import contextlib
import json
import os
import shutil
import subprocess

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
