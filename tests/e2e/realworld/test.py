"""Build files of public projects (../shared/conformance/09-realworld): each becomes a graph, or the error it deserves."""
import collections
import json
import os
import pathlib
import re

import workspace
from expect import NoData, expect

DATA = pathlib.Path(os.environ.get("IMGBUILD_CONFORMANCE", workspace.TOP.parent / "shared" / "conformance")) / "09-realworld"

# What imgbuild refuses on purpose, or cannot do yet: a part of the message → why. All are told with their line.
REFUSED = {
    "names no version of the front end": "a front end that changes without a new name",
    "is not supported": "an instruction or frontend that is not there yet, named with its line",
    "names no image": "an ARG without a default in FROM: nobody can know the image without --build-arg",
}


def outside_names(case):
    """All images that the file may ask for; a busybox stands in for each."""
    names = {stage["base"] for stage in case.get("stages", [])}
    for stage in case.get("stages", []):
        names |= {dep for dep in stage["deps"] if isinstance(dep, str)}
    own = {stage["name"] for stage in case.get("stages", []) if stage["name"]}
    return sorted(name for name in names - own if name and name != "scratch" and "$" not in name)


def lower(ws, case):
    """(exit code, message) of `debug graph`. Names that only variables make are learned from what is asked for."""
    folder = DATA / "dockerfiles" / case["name"]
    names = outside_names(case)
    for _ in range(12):
        arguments = [word for name in names for word in ("--build-context", f"{name}={ws.busybox()}")]
        done = ws.imgbuild("debug", "graph", "-f", folder / "Dockerfile", *arguments, ws.path / "empty", code=None)
        asked = re.search(r"error: resolving '([^']+)'", done.err)
        if done.code != 10 or not asked or asked[1] in names:
            break
        names.append(asked[1])
    if done.code == 0:
        graph = json.loads(done.out)
        expect(graph["version"] == 1 and isinstance(graph["nodes"], list), f"{case['name']}: no graph")
    return done.code, done.err


def test_every_file(ws):
    """Every build file lowers to a graph, or is refused with its place; what BuildKit rejects is rejected."""
    if not DATA.is_dir():
        raise NoData(f"there is no {DATA}")
    (ws.path / "empty").mkdir()
    counts, wrong = collections.Counter(), []
    for case in json.loads((DATA / "dockerfiles.json").read_text())["cases"]:
        code, err = lower(ws, case)
        message = err.partition("error: ")[2].splitlines()
        story = f"{case['name']}: exit {code}: {message[0] if message else err.strip()[-300:]}"
        if case.get("parse_error") or case.get("instruction_error"):
            counts["rejected, as by BuildKit"] += 1
            if code != 2:
                wrong.append(f"{story} (BuildKit rejects it)")
        elif code == 0:
            counts["a graph"] += 1
        else:
            reason = next((why for part, why in REFUSED.items() if part in err), None)
            counts[reason or "WRONG"] += 1
            if reason is None or not re.search(r"Dockerfile:\d+", err):
                wrong.append(story)
    for what, count in counts.most_common():
        print(f"       {count:4} {what}", flush=True)
    expect(not wrong, f"{len(wrong)} files\n" + "\n".join(wrong[:30]))
