"""The plain user as whom a whole case can run: root prepares and inspects, the user builds.

IMGBUILD_E2E_USER names him. He is made if he does not exist, with subordinate ids; the same user serves all runs.
"""
import atexit
import fcntl
import functools
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

import machine
from expect import Failure, Skip

FIRST_ID = 300000000
# More than the usual 65536, since the Debian case has a file of user 70000.
COUNT = 131072


def name():
    """The user's name, None if everything runs as whoever started the tests."""
    return os.environ.get("IMGBUILD_E2E_USER")


@functools.cache
def account():
    """The password entry; makes the user and his subordinate ids if needed."""
    if os.geteuid() != 0:
        raise Skip("only root can make a plain user to test as")
    machine.need("newuidmap", "newgidmap", "setpriv", "useradd")
    with open("/run/lock/imgbuild-e2e-user" if os.path.isdir("/run/lock") else "/tmp/imgbuild-e2e-user", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # cases run beside each other
        try:
            pwd.getpwnam(name())
        except KeyError:
            subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name()], check=True)
        for kind in ("uid", "gid"):
            ranges = [line.split(":") for line in pathlib.Path(f"/etc/sub{kind}").read_text().splitlines()]
            if sum(int(row[2]) for row in ranges if row[0] == name()) < COUNT:
                subprocess.run(["usermod", f"--add-sub{kind}s", f"{FIRST_ID}-{FIRST_ID + COUNT - 1}", name()], check=True)
    return pwd.getpwnam(name())


def prefix():
    """What a command line begins with to be run by the user; nothing without one."""
    if not name():
        return []
    user = account()
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


def own(path, besides=()):
    """Gives a tree to the user, but for the directories `besides`, which he made himself."""
    if not name():
        return
    user = account()
    os.lchown(path, user.pw_uid, user.pw_gid)
    for top, directories, files in os.walk(path):
        directories[:] = [entry for entry in directories if os.path.join(top, entry) not in map(str, besides)]
        for entry in directories + files:
            os.lchown(os.path.join(top, entry), user.pw_uid, user.pw_gid)


def may(question, path):
    """What test(1) says to the user: "-x", "-r" …"""
    return subprocess.run([*prefix(), "test", question, path], check=False).returncode == 0


def _place():
    """A directory that everybody may enter, outside of all workspaces, gone at the end."""
    place = tempfile.mkdtemp(prefix="imgbuild-e2e-")
    os.chmod(place, 0o755)
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def reachable(program):
    """A path of the program that the user may execute: itself, or a copy where the checkout is not his to see."""
    return _executable_for(name(), program) if name() else program


@functools.cache
def for_everybody(program):
    """A copy of the program that any user may execute, wherever the checkout lies."""
    copy = shutil.copy(program, _place())
    os.chmod(copy, 0o755)
    return copy


def readable(directory):
    """The same for a directory: itself, or a copy with everything in it."""
    return _readable_for(name(), directory) if name() else directory


# A case may change the user between two calls, so he is part of what is remembered.
@functools.cache
def _executable_for(user, program):
    if may("-x", program):
        return program
    copy = shutil.copy(program, _place())
    os.chmod(copy, 0o755)
    if not may("-x", copy):
        raise Failure(f"user {user} cannot execute {copy}")
    return copy


@functools.cache
def _readable_for(user, directory):
    if may("-r", directory):
        return directory
    copy = shutil.copytree(directory, pathlib.Path(_place()) / "copy")
    own(copy)
    if not may("-r", copy):
        raise Failure(f"user {user} cannot read {copy}")
    return copy
