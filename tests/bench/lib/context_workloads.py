"""Workloads about files of the context."""
import data
from workload import Workload

STAT = "find context/tree -printf '%s %T@ %C@ %i %m %U %G\\n' > /dev/null"


class Noop(Workload):
    rows = [("noop", "12 steps, COPY of 10,000 files / 200 MB; nothing changed", 0.03)]
    warm = True
    files, size = 10000, 20 << 10
    buildfile = "FROM busybox\n" + "".join(f"RUN echo {n} > /{n}\n" for n in range(11)) + "COPY tree /tree\n"

    def prepare(self):
        super().prepare()
        data.tree(self.context / "tree", self.files, self.size)

    def floors(self):
        return {"find -printf": STAT}


class Noop100k(Noop):
    rows = [("noop100k", "the same with 100,000 files", 0.15)]
    files, size = 100000, 2 << 10


class Incr(Noop):
    rows = [("incr", "as noop, one small file changed; local name", 0.25)]

    def change(self, number):
        (self.context / "tree/part0/dir42/file4242.txt").write_text(f"changed in round {number}\n")

    def floors(self):
        return {"find -printf": STAT, "tar | sha256sum": "tar -C context -c tree | sha256sum",
                "cp -a": "cp -a context/tree floor/tree"}


class IncrPush(Incr):
    rows = [("incr push", "the same, pushed to a local registry, gzip", 0.6)]
    output = "push"

    def floors(self):
        return {"find -printf": STAT, "tar | sha256sum": "tar -C context -c tree | sha256sum",
                "tar | gzip": "tar -C context -c tree | gzip -6 > floor/out.gz"}


class CopyFrom(Workload):
    rows = [("copyfrom", "20,000 files from the context into a stage, COPY --from of them; local name, cold", 0.7)]
    buildfile = "FROM busybox AS files\nCOPY tree /tree\nFROM busybox\nCOPY --from=files /tree /tree\n"

    def prepare(self):
        super().prepare()
        data.tree(self.context / "tree", 20000, 4 << 10)

    def floors(self):
        return {"cp -a": "cp -a context/tree floor/tree", "tar | sha256sum": "tar -C context -c tree | sha256sum"}


class CopyFromAgain(CopyFrom):
    """The destination differs from round to round, so that only the one COPY is carried out."""
    rows = [("copyfrom again", "COPY --from of 20,000 files out of a stage that is there; local name", 0.7)]
    warm = True
    buildfile = ("FROM busybox AS files\nCOPY tree /tree\nRUN touch /tree/built\n"
                 "FROM busybox\nARG TO\nCOPY --from=files /tree /$TO\n")

    def arguments(self, number):
        return (f"TO=round{number + 1}",)


class SmallFiles(Workload):
    rows = [("smallfiles", "COPY of 50,000 files of 2 KB, OCI archive, gzip, cold", 1.5)]
    output = "archive"
    buildfile = "FROM busybox\nCOPY tree /tree\n"
    compressor = "gzip -6"

    def prepare(self):
        super().prepare()
        data.tree(self.context / "tree", 50000, 2 << 10)

    def floors(self):
        return {"tar": "tar -C context -c tree | cat > /dev/null", "tar | sha256sum": "tar -C context -c tree | sha256sum",
                f"tar | {self.compressor}": f"tar -C context -c tree | {self.compressor} > floor/packed"}


class SmallFilesZstd(SmallFiles):
    rows = [("smallfiles zstd", "the same, zstd", 1.0)]
    compression, compressor = "zstd", "zstd -q -3 -T0"
