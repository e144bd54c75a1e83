"""What the machine has, and what runs on it: tools, processes, mounts."""
import os
import pathlib
import re
import shutil
import time

from expect import Failure, Skip


def need(*tools):
    """Skips the test unless every tool is installed."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        raise Skip(f"not installed: {', '.join(missing)} (tools/install-packages.sh peers)")


def need_root():
    """Skips a test that only root can prepare or inspect."""
    if os.geteuid() != 0:
        raise Skip("needs root, to prepare and to inspect what a build does")


def _parent_and_start(pid):
    """(parent, start time in ticks) of a live process, None if there is none (or only its zombie is left)."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else (int(fields[1]), int(fields[19]))


def processes():
    """pid -> (parent, start time) of all live processes."""
    found = {int(name): _parent_and_start(name) for name in os.listdir("/proc") if name.isdigit()}
    return {pid: stat for pid, stat in found.items() if stat}


def descendants(pid):
    """{(pid, start time)} of a process and all below it. Pids alone could be reused."""
    table = processes()
    family, grown = {pid}, True
    while grown:
        more = {child for child, (parent, _) in table.items() if parent in family} - family
        family |= more
        grown = bool(more)
    return {(member, table[member][1]) for member in family if member in table}


def alive(family):
    """Those of {(pid, start time)} that still live, as text for a message."""
    table = processes()
    return [f"{pid} {command_line(pid)}" for pid, start in sorted(family) if pid in table and table[pid][1] == start]


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "(gone)"


def with_argument(word):
    """pids of the live processes that have this word among their arguments."""
    found = []
    for pid in processes():
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in words:
            found.append(pid)
    return found


NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")


def namespaces():
    """{"mnt:[4026531841]", …}: all namespaces that a live process is in."""
    found = set()
    for pid in processes():
        for kind in NAMESPACES:
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
            except OSError:
                pass
    return found


def strangers(known, program):
    """["pid command", …] of live processes in a namespace that is not among `known`, as far as they run `program` or a
    step's init."""
    found = []
    for pid in processes():
        try:
            inside = {os.readlink(f"/proc/{pid}/ns/{kind}") for kind in NAMESPACES}
        except OSError:
            continue
        command = command_line(pid)
        if inside - known and (program in command or command.startswith("imgbuild-init")):
            found.append(f"{pid} {command}")
    return found


def mounts(pid="self"):
    """The mount points that a process sees, in order of mounting."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    return [re.sub(r"\\([0-7]{3})", lambda code: chr(int(code.group(1), 8)), line.split(" ")[4]) for line in lines]


def mounts_below(path):
    """[(pid, mount point)]: what is mounted below a path in the mount namespace of any live process."""
    found, seen = [], set()
    for pid in processes():
        try:
            namespace = os.readlink(f"/proc/{pid}/ns/mnt")
        except OSError:
            continue
        if namespace not in seen:
            seen.add(namespace)
            found += [(pid, mount) for mount in mounts(pid) if mount.startswith(str(path) + "/")]
    return found


def unfinished(store):
    """What lies in a store's tmp/ besides empty files: those are locks, which stay, and claims, which the next build takes."""
    tmp = pathlib.Path(store) / "tmp"
    return sorted(str(path.relative_to(tmp)) for path in tmp.rglob("*")
                  if path != tmp / "claims" and not (path.is_file() and path.stat().st_size == 0))


def wait_until(condition, seconds, what):
    """Polls until the condition holds and returns its value; fails with `what` after the time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.02)
