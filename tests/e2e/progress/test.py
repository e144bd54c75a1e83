"""--progress=json is what docs/schemas/progress.json says, line by line: tools that follow a build rely on it."""
import json

import machine
import workspace
from expect import Failure, equal, expect
from schema import validate

SCHEMA = json.loads((workspace.TOP / "docs" / "schemas" / "progress.json").read_text())


def follow(ws, context, *arguments, code=0):
    """The events of a build, each of them valid, and the text behind the last one."""
    lines = ws.imgbuild("build", "--progress", "json", "--build-context", f"busybox={ws.busybox()}", *arguments, context,
                        code=code).err.splitlines()
    events = []
    while lines and lines[0].startswith("{"):
        events.append(json.loads(lines.pop(0)))
        validate(events[-1], SCHEMA)
    return events, lines


def check_order(events):
    """Planned comes once and first; what is told of a step lies between its start and its only end."""
    kinds = [event["event"] for event in events if event["event"] != "warning"]
    equal((kinds[0], kinds.count("planned")), ("planned", 1), "the first event, and how often it comes")
    running, ended = set(), set()
    for event in events:
        step = event.get("id")
        if event["event"] == "started":
            expect(step not in running | ended, f"step {step} begins twice")
            running.add(step)
        elif step is not None:
            expect(step in running, f"{event} of a step that is not running")
        if event["event"] == "finished":
            running.remove(step)
            ended.add(step)
    equal(running, set(), "steps without an end")
    return ended


def outcomes(events):
    return {event["instruction"]: event["outcome"] for event in events if event["event"] == "finished"}


def test_done_and_cached(ws):
    """A first and a second build: every line is valid, done becomes cached, and the steps are all told."""
    machine.need_root()
    context = ws.context({"a": "a", "Buildfile": """\
FROM busybox AS made
RUN echo out && echo err >&2 && printf 'partial \\377'
COPY a /
FROM scratch
COPY --from=made /a /b
"""})
    first, rest = follow(ws, context, "-o", "type=oci,dest=out.tar")
    equal(rest, [], "text behind the events")
    steps = check_order(first)
    equal(steps, set(range(1, len(steps) + 1)), "the numbers of the steps")
    equal(set(outcomes(first).values()), {"done"}, "the outcomes of the first build")
    text = {stream: "".join(event["text"] for event in first if event.get("stream") == stream)
            for stream in ("stdout", "stderr")}
    equal(text, {"stdout": "out\npartial \N{REPLACEMENT CHARACTER}", "stderr": "err\n"}, "what the command wrote")
    second, _ = follow(ws, context)
    check_order(second)
    again = outcomes(second)
    equal(again["COPY --from=made /a /b"], "cached", "the last step of the second build")


def test_failed(ws):
    """A failing step is told as failed; the error follows the events as text."""
    machine.need_root()
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo before && exit 7\nRUN echo never\n"})
    events, rest = follow(ws, context, code=1)
    check_order(events)
    failed = [event for event in events if event.get("outcome") == "failed"]
    equal([(event["line"], event["position"]) for event in failed], [(2, "stage-0 2/3")], "the failed steps")
    expect("exit code 7" in failed[0]["error"], f"the error is {failed[0]['error']!r}")
    expect(any(line.startswith("error: ") for line in rest), f"no error behind the events: {rest}")


def test_warning(ws):
    """A warning has a code, the file and the line."""
    context = ws.context({"Buildfile": "FROM scratch\nLABEL a=b\n"})
    events, _ = follow(ws, context, "--build-arg", "UNUSED=1")
    warnings = [event for event in events if event["event"] == "warning"]
    equal([warning["code"] for warning in warnings], ["build.unused-argument"], "the warnings")


def test_judge(_):
    """The judge of this case refuses what the schema does not know."""
    good = {"v": 1, "event": "finished", "id": 1, "instruction": "RUN x", "outcome": "done", "cached": False, "ms": 0}
    validate(good, SCHEMA)
    wrong = [{**good, "v": 2}, {**good, "id": 0}, {**good, "id": True}, {**good, "cached": True}, {**good, "cached": 0},
             {**good, "outcome": "failed"}, {**good, "more": 1}, {**good, "ms": 0.5}, {**good, "position": "2/4"},
             {"v": 1, "event": "output", "id": 1, "stream": "both", "text": "x"}, {"v": 1, "event": "planned"}, [], None]
    for value in wrong:
        try:
            validate(value, SCHEMA)
        except Failure:
            continue
        raise Failure(f"{value!r} was accepted")
