"""All workloads, in the order of the table."""
from context_workloads import CopyFrom, CopyFromAgain, Incr, IncrPush, Noop, Noop100k, SmallFiles, SmallFilesZstd
from registry_workloads import PullPush
from step_workloads import BigFile, BigFileZstd, Dag, Real, Steps

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
