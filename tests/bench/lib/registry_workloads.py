"""Workloads about a registry."""
import shutil

import data
from tools import checked
from workload import Workload


class PullPush(Workload):
    rows = [("pullpush", "cold pull of 540 MB compressed / 40,000 files, one RUN, push", 4),
            ("repush", "the same command again: nothing is to be built or sent", 0.03)]
    output = "push"
    megabytes, files = 1040, 40000

    def __init__(self, place, imgbuild):
        super().__init__(place)
        self.imgbuild = imgbuild

    def prepare(self):
        host = self.place.registry.host
        self.buildfile = f"FROM {host}/base:1\nARG ROUND\nRUN echo $ROUND > /made\n"
        super().prepare()
        layout, self.compressed = data.large_layout(self.place.path / "base", self.megabytes, self.files)
        environment = {**self.place.workspace.environment(), "IMGBUILD_ROOT": str(self.place.path / "first")}
        checked([self.imgbuild, "copy", f"oci:{layout}:latest", f"docker://{host}/base:1"], environment)
        shutil.rmtree(self.place.path / "first")

    def bases(self):
        return {}

    def arguments(self, number):
        return (f"ROUND={number}",)

    def floors(self):
        blobs = "$(ls -S base/blobs/sha256 | head -4)"
        floors = {"sha256sum": f"cd base/blobs/sha256; sha256sum $(ls -S | head -4)",
                  "gzip -d": f"for blob in {blobs}; do gzip -dc base/blobs/sha256/$blob > /dev/null & done; wait",
                  "tar xz": f"for blob in {blobs}; do "
                            "tar -C floor -xzf base/blobs/sha256/$blob & done; wait"}
        if shutil.which("skopeo"):
            floors["skopeo copy (pull without unpacking)"] = (
                "skopeo copy -q --insecure-policy --src-tls-verify=false "
                f"docker://{self.place.registry.host}/base:1 oci:floor/pulled:1")
        return floors
