"""Machines that have less than others: the same images come out, and doctor says what is missing."""
import os
import pathlib

import machine
import plain_user
import workspace
from expect import contains, equal, expect, lacks

# What steps can do to a root, in every way that its kinds could see differently.
BUILDFILE = """\
FROM busybox AS base
RUN mkdir -p /many/deep /swap /opt && for f in a b c; do echo $f > /many/$f; done && echo deep > /many/deep/file && \\
    echo one > /swap/one && ln /many/a /opt/linked && ln -s many /link && chown -R 7:8 /opt
FROM base
RUN rm /many/a && echo more >> /many/b && chmod 600 /many/c && rm -r /swap && mkdir /swap && echo two > /swap/two
RUN test ! -e /many/a && test ! -e /swap/one && cat /many/b /swap/two /opt/linked > /seen && mv /many/deep /moved
WORKDIR /made/by/workdir
RUN test ! -e /many/deep && cat /moved/file > file && ln file second && mkfifo pipe && ln -s /nowhere dangling
RUN --mount=from=base,source=/many,target=/mnt/many --mount=source=f,target=/mnt/f ls /mnt/many > /listed && cat /mnt/f >> /listed
RUN rm -rf /many && touch /many
"""
FILES = {"f": "from the context\n", "Buildfile": BUILDFILE}

ON_OVERLAY = """\
mount -t tmpfs tmpfs "$IMGBUILD_ROOT"
mkdir "$IMGBUILD_ROOT/l" "$IMGBUILD_ROOT/u" "$IMGBUILD_ROOT/w"
cd "$IMGBUILD_ROOT"
mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w "$IMGBUILD_ROOT"
cd /
"""
# An overlay's lower trees may be an overlay, but not one that lies on another.
ON_TWO_OVERLAYS = """\
mount -t tmpfs tmpfs "$IMGBUILD_ROOT"
cd "$IMGBUILD_ROOT"
mkdir l u w point u2 w2
mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w point
mount -t overlay overlay -o lowerdir=point,upperdir=u2,workdir=w2 "$IMGBUILD_ROOT"
cd /
"""
# As container engines cover it, which the kernel takes for a secret.
MASKED_PROC = "mount --bind /dev/null /proc/version\n"


def on_machine(ws, setup, *arguments, **options):
    """imgbuild in a mount namespace of its own, after a shell script has prepared it."""
    machine.need("unshare")
    ws.root.mkdir(exist_ok=True)
    return ws.run("unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", setup + 'exec "$@"', "sh",
                  workspace.binary(), *arguments, **options)


def built(ws, setup, context, *more, **options):
    """The id of the image that such a machine builds, in a store that is empty."""
    return on_machine(ws, setup, "build", "--progress", "plain", "--build-context", f"busybox={ws.busybox()}", *more,
                      context, **options)


def expected_id(ws, context):
    return ws.build(context, "--snapshotter=overlay", env={"IMGBUILD_ROOT": ws.path / "plain-store"}).out


def check_machine(ws, setup, question, answer):
    """doctor can build there, with this answer."""
    report = on_machine(ws, setup, "doctor", "--json").json()
    expect(report["canBuild"], "builds work")
    answers = {one["question"]: one for one in report["answers"]}
    contains(answers[question]["answer"], answer)
    equal(answers[question]["grade"], "limited", "its grade")
    expect(answers[question]["consequence"] and answers[question]["remedy"], "there is a consequence and a remedy")


def test_copy_gives_the_same_image(ws):
    """--snapshotter=copy and =overlay make images with one id, from different stores."""
    machine.need_root()
    context = ws.context(FILES)
    equal(ws.build(context, "--snapshotter=copy").out, expected_id(ws, context), "the image's id")
    equal(machine.unfinished(ws.root), [], "what is left in tmp/")


def test_store_on_overlay(ws):
    """Changes are held in memory, and whiteouts take the form that an overlay allows."""
    machine.need_root()
    check_machine(ws, ON_OVERLAY, "root file system", "in memory")
    context = ws.context(FILES)
    equal(built(ws, ON_OVERLAY, context).out, expected_id(ws, context), "the image's id")


def test_store_on_overlay_with_copies(ws):
    """A copy's whiteouts are found in that form as well."""
    machine.need_root()
    context = ws.context(FILES)
    equal(built(ws, ON_OVERLAY, context, "--snapshotter=copy").out, expected_id(ws, context), "the image's id")


def test_full_memory_is_told(ws):
    """A step that writes more than the memory for its changes ends with a reason and a way out."""
    machine.need_root()
    context = ws.context({"Buildfile": "FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M\n"})
    # 128 MiB for everything, as in a small container.
    limit = "mount -t tmpfs tmpfs /sys/fs/cgroup\necho 134217728 > /sys/fs/cgroup/memory.max\n"
    result = built(ws, ON_OVERLAY + limit, context, code=1)
    contains(result.err, "No space left on device")
    contains(result.err, "67 MB of memory")
    contains(result.err, "IMGBUILD_ROOT")


def test_no_overlay_at_all(ws):
    """Each step gets a copy, unless an overlay was asked for."""
    machine.need_root()
    check_machine(ws, ON_TWO_OVERLAYS, "root file system", "a copy")
    context = ws.context(FILES)
    equal(built(ws, ON_TWO_OVERLAYS, context).out, expected_id(ws, context), "the image's id")
    refused = built(ws, ON_TWO_OVERLAYS, context, "--snapshotter=overlay", code=12)
    contains(refused.err, "--snapshotter=copy")


def test_masked_proc(ws):
    """Where no proc can be mounted, steps see the one around them and cannot write to it."""
    machine.need_root()
    check_machine(ws, MASKED_PROC, "/proc", "read-only")
    context = ws.context(FILES)
    equal(built(ws, MASKED_PROC, context).out, expected_id(ws, context), "the image's id")
    look = ws.context({"Buildfile": """\
FROM busybox
RUN test -d /proc/self/fd && echo "self is $(readlink /proc/self)" && echo visible > /dev/stdout
RUN if echo x > /proc/sys/kernel/hostname; then exit 1; fi
RUN if echo 0 > /proc/$PPID/oom_score_adj; then exit 1; fi
RUN test -c /proc/version && kill -0 1
"""}, name="look")
    contains(built(ws, MASKED_PROC, look).err, "visible")


def test_masked_proc_with_copies(ws):
    """Both at once."""
    machine.need_root()
    context = ws.context(FILES)
    equal(built(ws, MASKED_PROC, context, "--snapshotter=copy").out, expected_id(ws, context), "the image's id")


def test_doctor_on_this_machine(ws):
    """Where builds work it ends with 0, says so, and leaves nothing."""
    machine.need_root()
    result = ws.imgbuild("doctor")
    contains(result.out, "imgbuild can build here.")
    contains(result.out, "user: root")
    expect(not ws.root.exists(), "no store is made")
    equal([name for name in os.listdir(ws.path) if "doctor" in name], [], "what is left")


def test_doctor_for_a_user_without_ids(ws):
    """It explains itself where nothing else works, with the same words as a build."""
    machine.need_root()
    machine.need("setpriv")
    home = ws.path / "nobody-home"
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    user = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups",
            plain_user.for_everybody(workspace.binary()))
    env = {"HOME": home, "IMGBUILD_ROOT": home / "store"}
    report = ws.run(*user, "doctor", code=12, env=env)
    contains(report.out, "imgbuild cannot build here yet.")
    contains(report.out, "usermod --add-subuids")
    lacks(report.err, "error")
    build = ws.run(*user, "build", ws.context(FILES), code=12, env=env)
    contains(build.err, "no subordinate ids")
    contains(build.err, "usermod --add-subuids")
    expect(not pathlib.Path(home / "store").exists(), "no store is made")
