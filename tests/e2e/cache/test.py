"""What a second build does again, and what it does not."""
import os
import re

from expect import equal, expect, lacks, matches

BUILDFILE = """\
FROM busybox
RUN echo first && date +%s%N > /stamp
COPY src /src
RUN echo second && cat /src/main > /out
"""


def sample(ws, main="one"):
    return ws.context({"src/main": main, "Buildfile": BUILDFILE})


def states(err):
    """{instruction: "CACHED" or "DONE"} from plain progress."""
    names = dict(re.findall(r"^#(\d+) \[[^]]*\] (.+)$", err, re.M))
    return {names[number]: state for number, state in re.findall(r"^#(\d+) (CACHED|DONE)", err, re.M) if number in names}


def test_nothing_changed(ws):
    """A second build with nothing changed runs nothing, says CACHED, and gives the same image."""
    context = sample(ws)
    first = ws.build(context, "--iidfile", "1")
    second = ws.build(context, "--iidfile", "2")
    matches(first.err, r"^#\d+ \d+\.\d+ first$")
    matches(second.err, r"^#\d+ CACHED$")
    lacks(re.sub(r"(?m)^#\d+ \[.*$", "", second.err), "first", "second")
    expect("DONE" not in {state for name, state in states(second.err).items() if name.startswith("RUN")},
           f"a step ran again:\n{second.err}")
    equal((ws.path / "1").read_text(), (ws.path / "2").read_text(), "the image ids")


def test_times_do_not_matter(ws):
    """New times and a new place of the context change nothing."""
    context = sample(ws)
    ws.build(context, "--iidfile", "1")
    moved = context.rename(ws.path / "elsewhere")
    for folder, _, files in os.walk(moved):
        for name in files:
            os.utime(os.path.join(folder, name), (1, 1))
    second = ws.build(moved, "--iidfile", "2")
    equal(states(second.err).get("RUN echo second && cat /src/main > /out"), "CACHED", "the last step")
    equal((ws.path / "1").read_text(), (ws.path / "2").read_text(), "the image ids")


def test_changed_file(ws):
    """A changed file runs the steps that can see it, and only those."""
    ws.build(sample(ws))
    second = states(ws.build(sample(ws, main="two")).err)
    equal(second.get("RUN echo first && date +%s%N > /stamp"), "CACHED", "the step before the copy")
    equal(second.get("RUN echo second && cat /src/main > /out"), "DONE", "the step after the copy")


def test_same_size_and_time(ws):
    """A file of the same size, changed within the clock's granularity, is noticed."""
    for text in ("aaaa", "bbbb", "cccc"):
        context = sample(ws, main=text)
        equal(ws.build_image(context).read("out").decode(), text, "what the step saw")


def test_build_arg(ws):
    """A build argument reruns the steps after its ARG."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo early\nARG V\nRUN echo v=$V > /v\n"})
    ws.build(context, "--build-arg", "V=1")
    second = ws.build(context, "--build-arg", "V=2")
    equal((states(second.err)["RUN echo early"], states(second.err)["RUN echo v=2 > /v"]), ("CACHED", "DONE"), "steps")


def test_no_cache(ws):
    """--no-cache runs every step again."""
    context = sample(ws)
    ws.build(context)
    second = ws.build(context, "--no-cache")
    matches(second.err, r"^#\d+ \d+\.\d+ first$")
    steps = {name: state for name, state in states(second.err).items() if not name.startswith("FROM")}
    equal(set(steps.values()), {"DONE"}, "the steps' states")


def test_metadata_runs_nothing(ws):
    """A changed label makes another image out of the same layers."""
    one = ws.build_image(ws.context({"Buildfile": "FROM busybox\nRUN date +%s%N > /stamp\nLABEL a=1\n"}))
    two = ws.build_image(ws.context({"Buildfile": "FROM busybox\nRUN date +%s%N > /stamp\nLABEL a=2\n"}))
    expect(one.id != two.id, "both images have one id")
    equal(one.config["rootfs"], two.config["rootfs"], "the layers")


def test_failed_step_is_not_remembered(ws):
    """A failed step leaves nothing in the cache; what was finished before it is kept."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo kept\nRUN exit 3\n"})
    ws.build(context, code=1)
    second = ws.build(context, code=1)
    equal(states(second.err).get("RUN echo kept"), "CACHED", "the finished step")
