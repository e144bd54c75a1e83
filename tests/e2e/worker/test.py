"""`imgbuild worker`: the protocol of docs/worker-protocol.md, spoken by a host that shares no code with it."""
import os
import signal
import time

import machine
import oci
import registry
import worker_host
from expect import equal, expect, matches
from worker_host import Worker, build_task, host_platform


def test_hello(ws):
    """The worker greets with its protocol and its version, before it is asked anything."""
    with Worker(ws) as host:
        equal(host.hello["protocol"], worker_host.PROTOCOL, "the protocol")
        matches(host.hello["version"], r"^\d+\.\d+\.\d+$")


def test_build(ws):
    """A build gives events, a result, and the image that the command line makes of the same."""
    machine.need_root()
    context = ws.context({"a": "a", "Buildfile": "FROM busybox\nCOPY a /\nRUN printf 'out \\351\\n' && echo err >&2\n"})
    with Worker(ws) as host:
        host.request(build_task(ws, context, names=["app:1"]))
        result = host.result("build")
    kinds = [kind for event in host.events for kind in event]
    equal(kinds[0], "planned", "the first event")
    finished = [event["finished"] for event in host.events if "finished" in event]
    equal([step["outcome"] for step in finished], ["done"] * len(finished), "the outcomes")
    equal(finished[-1]["step"]["instruction"], "RUN printf 'out \\351\\n' && echo err >&2", "the last step")
    output = [event["output"] for event in host.events if "output" in event]
    equal("".join(text_of(line) for line in output if not line["is_stderr"]), "out \xe9\n", "what the command wrote")
    equal(ws.build(context).out.strip(), result["image_id"], "the image that the command line makes")
    equal(ws.imgbuild("inspect", "app:1").json()["id"], result["image_id"], "the image of the name")


def text_of(line):
    """A text on the wire: a string, or {"bytes": …} with a character per byte."""
    text = line["text"]
    return text["bytes"] if isinstance(text, dict) else text.encode().decode("latin-1")


def test_failing_step(ws):
    """A failing step is an error of its own type, with exit code, place and the end of its output."""
    machine.need_root()
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo before && exit 7\n"})
    with Worker(ws) as host:
        host.request(build_task(ws, context))
        error = host.error("build.step-failed")
    equal((error["kind"], error["exit_code"], error["log_tail"]), ("step-failed", 7, "before"), "the error")
    equal(error["where"]["span"]["line"], 2, "its line")
    equal(error["where"]["file"], {"name": "Buildfile", "text": None}, "its file, which the host has")
    expect(os.path.isfile(error["log_path"]), "its log is not there")


def test_problems_of_the_file(ws):
    """All problems of a build file come in one error."""
    context = ws.context({"Buildfile": "FROM scratch\nRAN x\nCOPI a b\n"})
    with Worker(ws) as host:
        host.request(build_task(ws, context))
        error = host.error("parse.unknown-instruction")
    equal(error["kind"], "parse", "its type")
    equal([problem["span"]["line"] for problem in error["diagnostics"]], [2, 3], "the lines")


def test_warning(ws):
    """A warning is an event."""
    context = ws.context({"Buildfile": "FROM scratch\nLABEL a=b\n"})
    with Worker(ws) as host:
        host.request(build_task(ws, context, lower={"build_args": [["UNUSED", "1"]]}))
        host.result("build")
    warnings = [event["warning"] for event in host.events if "warning" in event]
    equal([warning["diagnostic"]["code"] for warning in warnings], ["build.unused-argument"], "the warnings")


def test_archive_to_descriptor(ws):
    """An archive goes to a descriptor that comes with the request; the worker's own output stays empty."""
    context = ws.context({"a": "a", "Buildfile": "FROM scratch\nCOPY a /\n"})
    output = {"kind": "oci-archive", "destination": "-"}
    with open(ws.path / "out.tar", "wb") as archive, Worker(ws) as host:
        host.request(build_task(ws, context, outputs=[output], names=["app:1"]), {"stdout": archive.fileno()})
        built = host.result("build")
    equal(oci.load(ws.path / "out.tar").digest, built["manifest"], "the manifest in the archive")
    with open(ws.path / "again.tar", "wb") as archive, Worker(ws) as host:
        host.request({"send-image": {"image": "app:1", "output": output, "names": []}}, {"stdout": archive.fileno()})
        equal(host.result("sent")["manifest"], built["manifest"], "the manifest of the export")
    with Worker(ws) as host:
        host.request(build_task(ws, context, outputs=[output]))
        host.error("usage.bad-output")


def test_images(ws):
    """Images of the store are listed, inspected and named."""
    context = ws.context({"a": "a", "Buildfile": "FROM scratch\nCOPY a /\n"})
    image = ws.build(context, "-t", "app:1").out.strip()
    with Worker(ws) as host:
        host.request({"tag-image": {"image": "app:1", "name": "app:2"}})
        host.result("done")
    with Worker(ws) as host:
        host.request({"list-images": {}})
        listed = host.result("images")["images"]
    names = ["docker.io/library/app:1", "docker.io/library/app:2"]
    equal([(one["id"], one["names"]) for one in listed], [(image, names)], "the images")
    with Worker(ws) as host:
        host.request({"inspect-image": {"image": image[7:17]}})
        equal(host.result("image"), listed[0], "the image by its id")
    with Worker(ws) as host:
        host.request({"remove-image": {"image": "app:1"}})
        host.result("done")
    with Worker(ws) as host:
        host.request({"inspect-image": {"image": "app:2"}})
        equal(host.result("image")["names"], names[1:], "the names that are left")
    with Worker(ws) as host:
        host.request({"remove-image": {"image": image}})
        host.result("done")
    equal(ws.imgbuild("images", "-q").out, "", "the images that are left")
    with Worker(ws) as host:
        host.request({"inspect-image": {"image": "other"}})
        equal(host.error("usage.no-such-image")["kind"], "usage", "the type of the error")


def test_push_and_pull(ws):
    """An image goes to a registry and comes back from it into another store."""
    server = registry.Registry(ws)
    context = ws.context({"a": "a", "Buildfile": "FROM scratch\nCOPY a /\n"})
    name = f"{server.host}/app:1"
    image = ws.build(context, "-t", name).out.strip()
    with Worker(ws) as host:
        host.request({"send-image": {"image": name, "output": {"kind": "registry"}, "names": [name]}})
        manifest = host.result("sent")["manifest"]
    equal(server.manifest("app", "1")[0], manifest, "the manifest in the registry")
    with Worker(ws) as host:
        platform = host_platform()
        host.request({"pull-image": {"name": name, "platform": platform}}, store=str(ws.path / "other"))
        pulled = host.result("image")
    equal((pulled["id"], pulled["names"]), (image, [name]), "the image that was pulled")


def test_secret(ws):
    """A secret comes from the host when a step needs it, as a file, and is nowhere else; a wrong id is an error."""
    machine.need_root()
    context = ws.context({"Buildfile": "FROM busybox\nRUN --mount=type=secret,id=npm,required=true wc -c < "
                                       "/run/secrets/npm && ! grep -q canary /proc/self/environ\n"})
    with Worker(ws) as host:
        host.request(build_task(ws, context), answers=["secret"])
        asked = host.until_ask()
        equal(asked["question"], {"secret": {"id": "npm"}}, "the question")
        host.answer(asked, b"canary-98764")
        host.result("build")
    text = "".join(event["output"]["text"] for event in host.events if "output" in event)
    equal(text, "12\n", "the size of the secret in the step")
    expect(ws.run("grep", "-r", "canary-98764", ws.root, code=None).code == 1, "the secret is in the store")
    with Worker(ws) as host:
        host.request(build_task(ws, context, cache="write"), answers=["secret"])
        host.answer(host.until_ask(), None)
        expect(host.end()["error"]["code"], "no error for a secret that is not there")


def test_stop_while_asking(ws):
    """A build that waits for an answer can be cancelled."""
    machine.need_root()
    context = ws.context({"Buildfile": "FROM busybox\nRUN --mount=type=secret,id=npm,required=true true\n"})
    with Worker(ws) as host:
        host.request(build_task(ws, context), answers=["secret"])
        host.until_ask()
        host.send({"cancel": {}})
        host.error("cancelled.interrupted")


def test_refused_machine(ws):
    """What keeps the process from becoming a worker is told to the host, in answer to its request."""
    machine.need_root()
    with Worker(ws, user="nobody") as host:
        host.request({"list-images": {}})
        matches(host.end()["error"]["code"], r"^machine\.")


def test_store_of_request(ws):
    """The request says where the store is; the worker's environment does not matter then."""
    with Worker(ws, IMGBUILD_ROOT="/nowhere/at/all") as host:
        host.request({"list-images": {}}, store=str(ws.path / "other"))
        equal(host.result("images")["images"], [], "the images")
    expect((ws.path / "other" / "index.db").exists(), "the store was made elsewhere")


def test_cancel(ws):
    """A cancelled build ends its steps and says so."""
    machine.need_root()
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo begun && sleep 98761\n"})
    with Worker(ws) as host:
        host.request(build_task(ws, context))
        host.until_event("output")
        host.send({"cancel": {}})
        equal(host.error("cancelled.interrupted")["kind"], "cancelled", "the type of the error")
    expect(not machine.with_argument("98761"), "the step is still running")


def test_host_ends(ws):
    """The worker of a host that died ends, and its steps with it; so does one that nobody ever asked."""
    machine.need_root()
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo begun && sleep 98762\n"})
    with Worker(ws) as host:
        host.request(build_task(ws, context))
        host.until_event("output")
        host.socket.close()
        equal(host.process.wait(timeout=30), 1, "the exit code")
    expect(not machine.with_argument("98762"), "the step is still running")
    with Worker(ws) as host:
        host.socket.close()
        equal(host.process.wait(timeout=30), 1, "the exit code")


def test_slow_host(ws):
    """A host that does not read for a while loses nothing."""
    machine.need_root()
    context = ws.context({"Buildfile": "FROM busybox\nRUN seq 1 200000\n"})
    with Worker(ws) as host:
        host.request(build_task(ws, context))
        time.sleep(2)
        host.result("build")
    output = "".join(event["output"]["text"] for event in host.events if "output" in event)
    expect(output == "".join(f"{n}\n" for n in range(1, 200001)), "output was lost")


def test_terminated(ws):
    """SIGTERM to the worker stops its build, and the host is told."""
    machine.need_root()
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo begun && sleep 98763\n"})
    with Worker(ws) as host:
        host.request(build_task(ws, context))
        host.until_event("output")
        host.process.send_signal(signal.SIGTERM)
        host.error("cancelled.interrupted")


def test_refused(ws):
    """What is no request is refused with the place, and the worker ends."""
    refused = {
        b"{\n": r"not valid JSON",
        b'{"cancel":{}}\n': r"the first message is no request",
        b'{"request":{"task":{"build":{"contekst":"."}}}}\n': r"message\.request\.task\.build has no member 'contekst'",
        b'{"request":{"task":{"build":{}}}}\n': r"a build has no file",
        b'{"request":{"task":{"list-images":{}},"descriptors":["stdout"]}}\n': r"no descriptor came for 'stdout'",
    }
    for line, message in refused.items():
        with Worker(ws) as host:
            host.send(line)
            matches(host.error("worker.bad-message")["message"], message)
    with Worker(ws) as host:
        host.send({"request": {"protocol": 999, "task": {"list-images": {}}}})
        matches(host.error("worker.version")["message"], "999")


def test_no_socket(ws):
    """Started by hand, the worker says what it is for."""
    result = ws.imgbuild("worker", code=2)
    matches(result.err, r"^error: descriptor 3 is no stream socket\nhint: .*worker-protocol")
