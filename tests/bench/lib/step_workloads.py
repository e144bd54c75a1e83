"""Workloads about steps: many, parallel, large, and a real one."""
import shutil

import busybox
import data
import debian
import io
import tarfile
import workspace
from tools import checked
from workload import Workload

# What a step costs without a builder: namespaces, an overlay, a shell.
UNSHARE = """\
mkdir -p floor/lower/bin floor/lower/proc
cp "$(command -v busybox)" floor/lower/bin/busybox
step() {
    mkdir -p floor/$1/upper floor/$1/work floor/$1/root
    unshare -mpiuf sh -ec "
        mount -t overlay -o lowerdir=floor/lower,upperdir=floor/$1/upper,workdir=floor/$1/work overlay floor/$1/root
        mount -t proc proc floor/$1/root/proc
        exec chroot floor/$1/root /bin/busybox sh -c '$2'"
}
"""


class Steps(Workload):
    rows = [("steps", "30 trivial RUN steps, cold", 0.25)]
    count = 30

    @property
    def buildfile(self):
        return "FROM busybox\n" + "".join(f"RUN echo {n} > /f{n}\n" for n in range(self.count))

    def floors(self):
        return {"unshare": UNSHARE + f"""
            for n in $(seq {self.count}); do
                step $n "echo $n > /f$n"
            done"""}


class Dag(Workload):
    stages = 8
    rows = [("dag", "8 stages of `sleep 1` and a little work, merged by COPY --from, cold", 1.1)]

    @property
    def buildfile(self):
        work = "".join(f"FROM busybox AS s{n}\nRUN sleep 1 && seq {n} 20000 > /out\n" for n in range(self.stages))
        return work + "FROM busybox\n" + "".join(f"COPY --from=s{n} /out /out/{n}\n" for n in range(self.stages))

    def floors(self):
        return {"sleep 1": "sleep 1",
                "unshare": UNSHARE + f"""
            for n in $(seq {self.stages}); do
                step $n "busybox sleep 1 && busybox seq $n 20000 > /out" &
            done
            wait"""}


class BigFile(Workload):
    """The seed is repeated at a distance that no compressor of the two looks back."""
    rows = [("bigfile", "RUN writes 1 GB of poorly compressible data, OCI archive, gzip, cold", 6)]
    output = "archive"
    seed_bytes, times = 64 << 20, 16
    buildfile = f"FROM seed\nRUN for n in $(seq {times}); do cat /seed; done > /big\n"
    compressor = "gzip -6"

    def prepare(self):
        super().prepare()
        content, buffer = data.poor(1, self.seed_bytes), io.BytesIO()
        (self.place.path / "seed").write_bytes(content)
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            info = tarfile.TarInfo("seed")
            info.size, info.mtime = len(content), busybox.CREATED_SECONDS
            tar.addfile(info, io.BytesIO(content))
        busybox.write_layout(self.place.path / "seed-layout", busybox.CONFIG, [busybox.layer(), buffer.getvalue()])

    def bases(self):
        return {"seed": self.place.path / "seed-layout"}

    def floors(self):
        return {"the step": f"for n in $(seq {self.times}); do cat seed; done > big", "sha256sum": "sha256sum big",
                "cp": "cp big floor/big", self.compressor: f"{self.compressor} -c big > floor/packed"}


class BigFileZstd(BigFile):
    rows = [("bigfile zstd", "the same, zstd", 3)]
    compression, compressor = "zstd", "zstd -q -3 -T0"


INSTALL = "apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev"
REAL = """\
FROM {host}/debian:1 AS build
ENV DEBIAN_FRONTEND=noninteractive
RUN {install}
COPY hello.c /src/
RUN gcc -O2 -o /src/hello /src/hello.c
FROM {host}/debian:1
COPY --from=build /src/hello /usr/local/bin/hello
CMD ["hello"]
"""
HELLO = "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }\n"


class Real(Workload):
    """Everything from an empty store, the base from a local registry, packages from the machine's own sources."""
    rows = [("real", "Debian base, apt-get install gcc from a mirror, compile, copy; OCI archive, cold", 5.5)]
    output = "archive"

    def __init__(self, place, imgbuild):
        super().__init__(place)
        self.imgbuild = imgbuild
        self.rootfs = debian.rootfs(workspace.CACHE)

    def prepare(self):
        host = self.place.registry.host
        self.buildfile = REAL.format(host=host, install=INSTALL)
        super().prepare()
        (self.context / "hello.c").write_text(HELLO)
        base = self.place.path / "base"
        base.mkdir()
        (base / "Buildfile").write_text("FROM scratch\nADD rootfs.tar /\nCMD [\"/bin/sh\"]\n")
        shutil.copy(self.rootfs, base / "rootfs.tar")
        environment = {**self.place.workspace.environment(), "IMGBUILD_ROOT": str(self.place.path / "first")}
        checked([self.imgbuild, "build", "-q", "-t", f"{host}/debian:1", "--push", base], environment)

    def bases(self):
        return {}

    def floors(self):
        # On a volatile overlay, as builders have it: without it dpkg would wait for the disk.
        return {"tar x; chroot apt-get, gcc": f"""
            mkdir floor/base floor/upper floor/work floor/root
            tar -C floor/base -xf {self.rootfs}
            cp /etc/resolv.conf floor/base/etc/resolv.conf; cp context/hello.c floor/base/tmp
            export DEBIAN_FRONTEND=noninteractive
            unshare -mpf sh -ec '
                mount -t overlay -o volatile,lowerdir=floor/base,upperdir=floor/upper,workdir=floor/work overlay floor/root
                chroot floor/root sh -ec "{INSTALL} && gcc -O2 -o /usr/local/bin/hello /tmp/hello.c"'"""}
