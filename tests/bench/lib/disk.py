"""Where a workload lies: a fresh ext4 in a loop image, so that neither the age of the disk's file system nor what others
left in it is measured."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import machine
import registry
import workspace

IMAGE_BYTES = 40 << 30  # sparse


class Place:
    """A directory `path` for one workload; the registry is started when it is first asked for."""

    def __init__(self, path):
        self.path = path
        tempfile.tempdir = str(path)
        self.workspace = workspace.Workspace("bench")
        self._registry = None

    @property
    def registry(self):
        if not self._registry:
            self._registry = registry.Registry(self.workspace)
        return self._registry

    def registry_bytes(self):
        """Of all blobs that the registry holds."""
        return sum(blob.stat().st_size for blob in self.registry.storage.glob("**/blobs/sha256/*/*/data"))

    def sync(self):
        """So that one run does not write what the run before it left."""
        subprocess.run(["sync", "-f", str(self.path)], check=True)

    def close(self):
        self.workspace.close()


def unmount_below(path):
    """buildah leaves mounts of its own."""
    for mount in sorted((m for m in machine.mounts() if m.startswith(f"{path}/")), key=len, reverse=True):
        subprocess.run(["umount", "-l", mount], check=False, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def place(here=False):
    """A Place on a fresh file system; with `here` in the temporary directory."""
    tempfile.tempdir = None
    # No random name: buildah takes the path of a layout for a reference, which may not have every character.
    folder = pathlib.Path(tempfile.gettempdir(), f"imgbuild-bench-{os.getpid()}")
    folder.mkdir(mode=0o755)
    top = folder if here else _mounted(folder)
    made = Place(top)
    try:
        yield made
    finally:
        made.close()
        unmount_below(top)
        if not here:
            subprocess.run(["umount", str(top)], check=True)
        shutil.rmtree(folder, ignore_errors=True)
        tempfile.tempdir = None


def _mounted(folder):
    image, top = folder / "disk.img", folder / "disk"
    with open(image, "wb") as disk:
        disk.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    top.mkdir()
    # Without noinit_itable the kernel would write the inode tables while we measure.
    subprocess.run(["mount", "-o", "loop,noinit_itable", str(image), str(top)], check=True)
    return top
