"""All workloads, in the order of the table, and all tools."""
import shutil

from buildah_tool import Buildah
from context_workloads import CopyFrom, CopyFromAgain, Incr, IncrPush, Noop, Noop100k, SmallFiles, SmallFilesZstd
from docker_tool import Docker
from registry_workloads import PullPush
from step_workloads import BigFile, BigFileZstd, Dag, Real, Steps
from tools import Imgbuild

ALL = (Noop, Noop100k, Incr, IncrPush, Steps, Dag, CopyFrom, CopyFromAgain, SmallFiles, SmallFilesZstd, BigFile, BigFileZstd,
       PullPush, Real)
NEED_IMGBUILD = (PullPush, Real)  # to put their base into the registry


def names():
    return [row[0].replace(" ", "-") for workload in ALL for row in workload.rows]


def chosen(only):
    """Those with a row among the names; all without names."""
    return [workload for workload in ALL
            if not only or any(row[0].replace(" ", "-") in only for row in workload.rows)]


def make(workload, place, binary):
    return workload(place, binary) if workload in NEED_IMGBUILD else workload(place)


def tools(binary, wanted=None):
    """All that this machine has, imgbuild first; of `wanted` (if any) only those. ValueError for what is not there."""
    found = [Imgbuild(binary)]
    if shutil.which("buildah"):
        found.append(Buildah())
    if Docker.installed():
        found.append(Docker())
    names = [tool.name for tool in found]
    missing = [name for name in wanted or names if name not in names]
    if missing:
        raise ValueError(f"not installed, or not known here: {', '.join(missing)}; there are {', '.join(names)}")
    return [tool for tool in found if not wanted or tool.name in wanted]
