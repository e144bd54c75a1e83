"""A minimal Debian root file system, from the package sources that this machine is configured with."""
import hashlib
import os
import pathlib
import subprocess
import tempfile

import machine
from expect import Failure, indent

# Tools that the tests of extended attributes and file capabilities run in the image.
EXTRA_PACKAGES = "attr,libcap2-bin"
SUITE = "bookworm"


def sources():
    found = [pathlib.Path("/etc/apt/sources.list")]
    found += sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*.list"))
    found += sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*.sources"))
    return [path for path in found if path.is_file() and path.stat().st_size]


def rootfs(cache):
    """rootfs.tar in the cache; half a minute at its first use. Made anew when the machine's sources change."""
    machine.need_root()
    machine.need("mmdebstrap")
    key = hashlib.sha256(f"{SUITE} {EXTRA_PACKAGES}".encode())
    for path in sources():
        key.update(path.read_bytes())
    final = pathlib.Path(cache) / f"debian-{key.hexdigest()[:12]}.tar"
    if final.exists():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent) as folder:
        made = os.path.join(folder, "rootfs.tar")
        done = subprocess.run(["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={EXTRA_PACKAGES}", SUITE,
                               made, *map(str, sources())], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, text=True)
        if done.returncode:
            raise Failure(f"mmdebstrap failed:\n{indent(done.stdout)}")
        os.rename(made, final)
    return final
