"""The suite tested without a fresh disk and without peers: what measures must not be wrong."""
import hashlib
import os
import pathlib
import sys
import tempfile
import types

import context_workloads
import data
import disk
import measure
import oci
import report
import workloads
import workspace
from expect import contains, equal, expect

PYTHON = [sys.executable, "-ISBc"]


def run(*commands):
    return measure.run(commands, dict(os.environ), "/")


def test_figures_are_those_of_the_whole_tree():
    """Processor time and memory of a grandchild count; sleeping is no processor time."""
    work = run(["sh", "-c", f"{sys.executable} -ISBc 'b = bytes(range(256)) * 400000\nwhile sum(b[:1 << 20]) and "
                            "__import__(\"time\").process_time() < 0.2: pass'; true"])
    expect(work.cpu >= 0.2, f"of 0.2 s only {work.cpu} s are seen")
    expect(work.peak > 100e6, f"of 100 MB only {work.peak} bytes are seen")
    sleep = run(["sleep", "0.2"])
    expect(sleep.seconds >= 0.2 and sleep.cpu < 0.1, f"sleeping takes {sleep}")


def test_memory_of_the_suite_does_not_count():
    """What this process holds is not taken for the child's."""
    held = b"x" * (150 << 20)
    small = run(["true"])
    expect(small.peak < 50e6 < len(held), f"true is said to take {small.peak} bytes")


def test_several_commands_are_one_sample():
    both = run(["sleep", "0.1"], ["sleep", "0.1"])
    expect(both.seconds >= 0.2, f"two sleeps take {both.seconds} s")


def test_failures_are_told():
    """A command that fails gives its last line and no figures."""
    try:
        run(["sh", "-c", "echo first >&2; echo the reason >&2; exit 3"])
    except measure.Failed as failed:
        return equal(str(failed), "the reason", "what is told")
    raise AssertionError("a failure is measured")


def test_data_come_from_the_seed():
    """Two makings are the same bytes, no two files are alike, and "poor" is poor."""
    import zlib
    digests = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a", "b"):
            data.tree(f"{folder}/{name}", 120, 300)
            files = sorted(pathlib.Path(folder, name).rglob("*.txt"))
            equal(len({path.read_bytes() for path in files}), 120, "different files")
            digests.append(hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest())
    equal(*digests, "two makings")
    poor = data.poor(1, 1 << 20)
    ratio = len(zlib.compress(poor, 6)) / len(poor)
    expect(0.8 < ratio < 0.95, f"poorly compressible data shrink to {ratio:.2f}")


def test_report():
    """Medians, the ratio to imgbuild, the verdict, and failures, in every form."""
    def series(name, kind, *seconds):
        return measure.Series(name, kind, [measure.Sample(s, s / 2, 10 << 20, 2000) for s in seconds])
    row = measure.Row("noop", "title", 0.2, [series("imgbuild", "tool", 0.1, 0.5, 0.2), series("buildah", "tool", 0.4, 0.6),
                                             measure.Series("other", "tool", failure="no luck"), series("cp", "floor", 0.1)])
    text = "\n".join(report.text_lines(row))
    contains(text, "0.200    0.100    0.500", "0.2 met", "0.500    0.400    0.600", "2.5", "failed: no luck", "floor: cp",
             "10 MiB", "2 kB")
    facts = {**report.machine(), "date": "2026-01-01"}
    table = report.markdown([row], facts, 3)
    contains(table, "Seen on 2026-01-01",
             "| noop | title | 0.200 (0.100–0.500) | 0.500 (0.400–0.600) × 2.5 | no luck | 0.2 | met |",
             "| noop | 0.100 · 10 MiB · 2 kB | 0.250 · 10 MiB · 2 kB |  |", "| noop | `cp` 0.100 (0.050) |")
    equal(report.markdown(*report.from_json(report.as_json([row], facts, 3))), table, "the table of what was saved")
    equal(report.verdict(measure.Row("noop", "title", 0.1, row.series)), "missed", "the verdict")


def test_a_page_is_kept():
    """Of a page only what is between the marks is replaced."""
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder, "page.md")
        page.write_text(f"before\n{report.BEGIN}old\n{report.END}after\n")
        report.write_markdown(page, "new\n")
        equal(page.read_text(), f"before\n{report.BEGIN}new\n{report.END}after\n", "the page")


class TinyNoop(context_workloads.Noop):
    files, size = 30, 100
    layers = ()

    def change(self, number):
        if number == 0:
            self.layers = self.layers_now()

    def layers_now(self):
        return sorted(path.name for path in self.place.path.glob("store-imgbuild/root/layers/*"))


class TinyArchive(context_workloads.SmallFiles):
    def prepare(self):
        super(context_workloads.SmallFiles, self).prepare()
        data.tree(self.context / "tree", 30, 100)


def test_a_workload():
    """noop with little data, imgbuild alone: a round that does not count, samples, a floor, and nothing is built twice."""
    with disk.place(here=True) as place:
        tool = workloads.tools(workspace.binary(), ["imgbuild"])
        workload = TinyNoop(place)
        row, = measure.workload_rows(workload, tool, 2)
        equal([(series.name, series.failure, len(series.samples)) for series in row.series],
              [("imgbuild", None, 2), ("find -printf", None, 2)], "the series")
        expect(len(workload.layers) > 12, f"layers after the first build: {workload.layers}")
        equal(workload.layers_now(), workload.layers, "layers after two more builds")


def test_an_archive():
    """What is measured is what was asked for: the files are in the archive, and its size is told."""
    with disk.place(here=True) as place:
        workload, seen = TinyArchive(place), types.SimpleNamespace(files=None)
        workload.clear = lambda job: setattr(seen, "files", oci.load(job.archive).tree())
        row, = measure.workload_rows(workload, workloads.tools(workspace.binary(), ["imgbuild"]), 1)
        equal(row.series[0].failure, None, "the failure")
        equal(sum(path.endswith(".txt") for path in seen.files), 30, "files in the archive")
        equal(row.series[0].samples[0].written, (place.path / "out.tar").stat().st_size, "the bytes")


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print(f"ok     {name}", flush=True)
    return 0
