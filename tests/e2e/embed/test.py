"""examples/embed: an outside project, built from an install tree, whose builds run in workers of their own."""
import functools
import json
import os
import pathlib
import signal
import tempfile

import embed
import machine
import registry
import workspace
from expect import equal, expect, lacks, matches


@functools.cache
def installed():
    """(install tree, program): made once for all tests."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="imgbuild-embed-", dir=workspace.CACHE))
    prefix = embed.install(embed.build_tree(), place / "prefix")
    return prefix, embed.build(prefix, place / "build")


def environment(ws, **more):
    """Base image and worker of the example. The library looks for its worker where it was configured to be installed,
    which is not here."""
    prefix, _ = installed()
    return {"BASE": ws.busybox(), "IMGBUILD_WORKER": prefix / "bin" / "imgbuild", **more}


def run(ws, *words, code=0, **more):
    return ws.run(installed()[1], *words, code=code, env=environment(ws, **more))


def context(ws, run_line):
    return ws.context({"a": "a", "Buildfile": f"FROM base\nCOPY a /\nRUN {run_line}\n"})


def test_install_tree(ws):
    """What is installed: the program, one library, the headers of the facade, and ways to find them."""
    machine.need("pkg-config")
    prefix, _ = installed()
    found = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file()}
    headers = {f"include/imgbuild/{path.name}" for path in (workspace.TOP / "include" / "imgbuild").glob("*.hpp")}
    equal({name for name in found if name.startswith("include/")}, headers, "the headers")
    equal({name for name in found if name.endswith((".a", ".so"))}, {"lib/libimgbuild.a"}, "the libraries")
    program = embed.build_by_pkg_config(prefix, ws.path / "embed")
    ws.run(program, "images", env=environment(ws))


def test_small(_):
    """A program that embeds imgbuild needs neither libcurl nor SQLite nor OpenSSL."""
    machine.need("ldd")
    lacks(embed.run("ldd", installed()[1]), "curl", "sqlite", "crypto", "archive", "zstd")


def test_push(ws):
    """A build with progress, pushed to a registry; a second one finds everything there."""
    machine.need_root()
    server = registry.Registry(ws)
    place = context(ws, "echo hello")
    result = run(ws, "push", place, f"{server.host}/app:1")
    image, manifest = matches(result.out, r"^image (sha256:\w{64})\nmanifest (sha256:\w{64})$").groups()
    matches(result.err, r"^push begins: RUN echo hello$")
    matches(result.err, r"^push says: hello$")
    matches(result.err, r"^push ended: RUN echo hello$")
    equal(server.manifest("app", "1")[0], manifest, "the manifest in the registry")
    again = run(ws, "push", place, f"{server.host}/app:1")
    equal(again.out, result.out, "the second build")
    matches(again.err, r"^push was there: RUN echo hello$")
    matches(run(ws, "images").out, f"^{image} {server.host}/app:1$")


def test_failing_step(ws):
    """A failing step has its type, its code, its exit code and the end of its output."""
    machine.need_root()
    result = run(ws, "push", context(ws, "echo almost && exit 7"), "127.0.0.1:1/app:1", code=1)
    matches(result.out, r"^error build\.step-failed: ")
    matches(result.out, r"^exit code 7, at the end it said:\nalmost$")


def test_problems_of_the_file(ws):
    """All problems of a build file are there, with their lines."""
    place = ws.context({"Buildfile": "FROM base\nRAN x\nCOPI a b\n"})
    result = run(ws, "push", place, "127.0.0.1:1/app:1", code=1)
    matches(result.out, r"^line 2: .*RAN")
    matches(result.out, r"^line 3: .*COPI")


def test_cancel(ws):
    """A stop token ends a build and its steps."""
    machine.need_root()
    result = run(ws, "cancel", context(ws, "echo begun && sleep 98771"), code=3)
    matches(result.out, r"^error cancelled\.interrupted: ")
    expect(not machine.with_argument("98771"), "the step is still running")


def test_store(ws):
    """Images are pulled, named, pushed and removed."""
    server = registry.Registry(ws)
    place = ws.context({"a": "a", "Buildfile": "FROM scratch\nCOPY a /\n"})
    manifest = matches(run(ws, "push", place, f"{server.host}/app:1").out, r"^manifest (.*)$").group(1)
    result = run(ws, "copy", f"{server.host}/app:1", f"{server.host}/other:2", IMGBUILD_ROOT=ws.path / "second")
    equal(result.out, f"manifest {manifest}\n", "the manifest that was pushed again")
    equal(server.manifest("other", "2")[0], manifest, "the manifest in the registry")
    equal(run(ws, "images", IMGBUILD_ROOT=ws.path / "second").out, "", "the images that are left")


def test_no_worker(ws):
    """A program that is not there, or is another one, is told with a way out."""
    result = run(ws, "images", code=1, IMGBUILD_WORKER="/nowhere/imgbuild")
    matches(result.out, r"^error worker\.not-started: start the worker '/nowhere/imgbuild': .*No such file")
    matches(result.out, r"^hint: .*IMGBUILD_WORKER")
    result = run(ws, "images", code=1, IMGBUILD_WORKER="/bin/false")
    matches(result.out, r"^error worker\.died: the worker '/bin/false' ended without a result: exit code 1$")


def child_of(process):
    """The worker that a background program has started."""
    found = []

    def appeared():
        found[:] = [pid for pid, (parent, _) in machine.processes().items() if parent == process.pid]
        return found
    machine.wait_until(appeared, 20, "the worker starts")
    return found[0]


def begin(ws, number):
    process = ws.start(installed()[1], "cancel", context(ws, f"trap '' USR1; sleep {number}"), env=environment(ws))
    machine.wait_until(lambda: machine.with_argument(str(number)), 60, "the step runs")
    return process


def test_killed_worker(ws):
    """A worker that is killed is an error of its own type to a host that goes on; its step dies with it."""
    machine.need_root()
    process = begin(ws, 98772)
    os.kill(child_of(process), signal.SIGKILL)
    equal(process.wait(timeout=30), 1, "the exit code")
    matches(process.log.read_text(), r"^error worker\.died: .* ended without a result: signal 9$")
    machine.wait_until(lambda: not machine.with_argument("98772"), 20, "the step is gone")


def test_killed_host(ws):
    """A host that is killed takes worker and step with it, and the next build finds nothing in its way."""
    machine.need_root()
    process = begin(ws, 98773)
    worker = child_of(process)
    process.kill()
    machine.wait_until(lambda: worker not in machine.processes(), 30, "the worker is gone")
    expect(not machine.with_argument("98773"), "the step is still running")
    ws.build(context(ws, "true"), "--build-context", f"base={ws.busybox()}")


def test_many(ws):
    """Four builds at once in one process give what four builds one after the other give."""
    machine.need_root()
    server = registry.Registry(ws)
    place = ws.context({"Buildfile": "FROM base\nARG NUMBER\nRUN echo $NUMBER > /number\n"})
    equal(run(ws, "many", place, f"{server.host}/app:n", "4").out, "4 of 4 built\n", "the builds")
    for number in range(1, 5):
        built = ws.imgbuild("inspect", f"{server.host}/app:n-{number}").json()
        one = ws.build(place, "--build-arg", f"NUMBER={number}", "--build-context", f"base={ws.busybox()}",
                       env={"IMGBUILD_ROOT": ws.path / f"store-{number}"})
        equal(built["id"], one.out.strip(), f"the image {number}")
        expect(json.dumps(server.manifest("app", f"n-{number}")), "no manifest")
