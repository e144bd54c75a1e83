"""Running commands for their figures, and a workload for its series of them."""
import dataclasses
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile

LAUNCH = pathlib.Path(__file__).resolve().parent / "launch.py"


class Failed(Exception):
    """A measured command ended badly; the text is the last line that it said."""


@dataclasses.dataclass
class Sample:
    seconds: float
    cpu: float          # user and system, of everything that the command waited for
    peak: int           # resident bytes of its biggest process
    written: int = None  # bytes of the archive, or that the registry got


@dataclasses.dataclass
class Series:
    """All samples of one tool or floor in one row of the table; or why there are none."""
    name: str
    kind: str  # "tool" or "floor"
    samples: list = dataclasses.field(default_factory=list)
    failure: str = None

    def median(self, what="seconds"):
        values = [getattr(sample, what) for sample in self.samples]
        return statistics.median(values) if values and None not in values else None

    def seconds(self):
        return [sample.seconds for sample in self.samples]


@dataclasses.dataclass
class Row:
    name: str
    title: str
    target: float
    series: list


def _wait(process):
    """The exit code. Whoever is interrupted here leaves nothing running."""
    try:
        return process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def run(commands, environment, cwd):
    """One Sample of some commands, one after the other."""
    total = Sample(0, 0, 0)
    for command in commands:
        with tempfile.TemporaryDirectory() as folder, open(f"{folder}/err", "w+b") as err:
            process = subprocess.Popen([sys.executable, "-ISBu", str(LAUNCH), f"{folder}/result", *map(str, command)],
                                       env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=err, start_new_session=True)
            if _wait(process):
                err.seek(0)
                said = err.read().decode(errors="replace").strip().splitlines()
                raise Failed((said or [f"exit {process.returncode}"])[-1])
            seconds, cpu, peak = map(float, pathlib.Path(folder, "result").read_text().split())
        total.seconds += seconds
        total.cpu += cpu
        total.peak = max(total.peak, int(peak))
    return total


def _attempt(series, action):
    """What the action returns; None after a failure, and then nothing more is tried."""
    if series.failure:
        return None
    try:
        return action()
    except Failed as failed:
        series.failure = str(failed)
        return None


def _tool_round(workload, tool, rows, number):
    """One tool's turn: all rows of the workload in one store, empty at first unless the workload keeps it."""
    store = workload.store(tool)
    if not workload.warm or number == workload.first_round:
        for series in rows:
            _attempt(series, lambda: tool.reset(store, workload.bases()))
    job = workload.job(tool, number)

    def measured():
        workload.place.sync()
        before = workload.written_before(job)
        tool.before()
        sample = run(tool.commands(store, job), tool.environment(store), workload.place.path)
        tool.after(sample)
        sample.written = workload.written(job, before)
        return sample
    for series in rows:
        _count(series, _attempt(series, measured), number)
    workload.clear(job)


def _floor_round(workload, series, script, number):
    def measured():
        workload.place.workspace.run("rm", "-rf", workload.place.path / "floor")
        (workload.place.path / "floor").mkdir()
        workload.place.sync()
        return run([["sh", "-euc", script]], workload.place.workspace.environment(), workload.place.path)
    _count(series, _attempt(series, measured), number)


def _count(series, sample, number):
    """Rounds before the first are for warming up."""
    if sample and number >= 0:
        series.samples.append(sample)


def workload_rows(workload, tools, rounds):
    """Measures in pairs: in each round every tool takes its turn, and then every floor."""
    workload.prepare()
    rows = [Row(*title, []) for title in workload.rows]
    for row in rows:
        row.series = [Series(tool.name, "tool") for tool in tools]
    floors = [(Series(name, "floor"), script) for name, script in workload.floors().items()]
    rows[0].series += [series for series, _ in floors]
    try:
        for number in range(workload.first_round, rounds):
            workload.change(number)
            for index, tool in enumerate(tools):
                _tool_round(workload, tool, [row.series[index] for row in rows], number)
            for series, script in floors:
                _floor_round(workload, series, script, number)
    finally:
        for tool in tools:
            tool.close()
    return rows
