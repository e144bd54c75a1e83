"""Three real projects, each from a build file in the shape of its own: Redis, a flow of Node-RED, Mercurial.

Their bases are stood in by a Debian (base/Buildfile), sources come from Debian's source packages and from npm's registry.
Each is built, built again without running anything, and run.
"""
import hashlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import debian
import machine
import oci
import registry
from expect import Failure, contains, equal, expect, indent, matches
from workspace import CACHE, binary

HERE = pathlib.Path(__file__).resolve().parent
CANARY = f"canary-{os.urandom(12).hex()}"


# ------------------------------------------------------------ what the projects stand on


def base_context(ws):
    """The directory of base/Buildfile, with the root file system in it."""
    machine.need_root()
    context = ws.path / "base"
    if not context.exists():
        context.mkdir()
        shutil.copy(HERE / "base" / "Buildfile", context)
        shutil.copy(debian.rootfs(CACHE), context / "rootfs.tar")
    return context


def make_base(ws, name):
    """An image in the store under the name that the project's build file begins with; its stage is called like it."""
    ws.imgbuild("build", "--target", name.partition(":")[0], "-t", name, base_context(ws), timeout=600)


def source(ws, package):
    """The tree of a Debian source package as a context; it is fetched once and kept as long as the root file system is."""
    kept = pathlib.Path(CACHE) / f"{debian.rootfs(CACHE).stem}-{package}"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            ws.imgbuild("build", "--target", "source", "--build-arg", f"PACKAGE={package}", "-o",
                        f"type=local,dest={folder}/{package}", base_context(ws), timeout=600)
            os.rename(f"{folder}/{package}", kept)
    return shutil.copytree(kept, ws.path / package, symlinks=True)


# ------------------------------------------------------------ building and running


def build(ws, project, context, *arguments):
    """(the image, what was said) of `project`, which is also the image's name and the folder of the build file."""
    archive = ws.path / f"{project}.tar"
    log = ws.imgbuild("build", "--progress", "plain", "-f", HERE / project / "Buildfile", "-t", f"{project}:test",
                      "-o", f"type=oci,dest={archive}", *arguments, context, timeout=1200).err
    return oci.load(archive), log


def cached(log):
    """{step: whether it was CACHED}, a step being the text after its number."""
    names = dict(re.findall(r"^#(\d+) \[(.*)$", log, re.M))
    return {name: bool(re.search(rf"^#{number} CACHED$", log, re.M)) for number, name in names.items()}


def require_same_from_cache(ws, project, context, image, *arguments):
    """A second build runs nothing, and makes the same bytes."""
    again, log = build(ws, project, context, *arguments)
    ran = [name for name, was_cached in cached(log).items() if not was_cached]
    expect(cached(log) and not ran, f"the second build runs {ran}\n{indent(log)}")
    equal(again.digest, image.digest, "the digest of the second build")


def was_cached(log, step):
    """Whether the one step that has this text was CACHED."""
    found = [hit for name, hit in cached(log).items() if step in name]
    expect(len(found) == 1, f"{len(found)} steps have {step!r}\n{indent(log)}")
    return found[0]


class Server:
    """`imgbuild run` of an image that listens on `port` of the loopback, until stop(). `ready`: what it says when it is."""

    def __init__(self, ws, image, *arguments, port, ready=""):
        self.port, self.process = port, ws.start(binary(), "run", image, *arguments)
        machine.wait_until(lambda: self._answers() and ready in self._log() or self.process.poll() is not None, 120, self._log)
        expect(self.process.poll() is None, f"the server ended with {self.process.returncode}\n{indent(self._log())}")

    def _log(self):
        return self.process.log.read_text(errors="replace")

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            return False

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
        equal(answer.status, 200, f"the answer to {path} ({body})")
        return body

    def stop(self):
        """As Ctrl-C does; nothing of it may be left."""
        family = machine.descendants(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        machine.wait_until(lambda: not machine.alive(family), 30, lambda: f"left: {machine.alive(family)}")


# ------------------------------------------------------------ C


def test_redis(ws):
    """Redis: gcc and make in a stage, programs copied out of it; a user, a volume, an entrypoint. It serves and ends well."""
    make_base(ws, "debian:12-slim")
    context = source(ws, "redis")
    version = matches((context / "src/version.h").read_text(), r'REDIS_VERSION "(.*)"').group(1)
    image, _ = build(ws, "c", context, "--build-arg", f"REDIS_VERSION={version}")
    settings = image.settings
    equal((settings["User"], settings["WorkingDir"], settings["Volumes"], settings["ExposedPorts"]),
          ("redis", "/data", {"/data": {}}, {"6379/tcp": {}}), "the settings")
    equal(settings["Labels"], {"org.opencontainers.image.title": "redis", "org.opencontainers.image.version": version},
          "the labels")
    tree = image.tree()
    equal(tree["data"].owner, (999, 999), "the owner of the volume")
    expect("usr/bin/gcc" not in tree and "usr/src/redis" not in tree, "the build stage is part of the image")

    ws.write("redis/tests/ignored", "Buildfile.dockerignore has this directory\n")
    require_same_from_cache(ws, "c", context, image, "--build-arg", f"REDIS_VERSION={version}")

    contains(ws.imgbuild("run", "c:test", "redis-server", "--version").out, f"v={version}")
    port = registry.free_port()
    server = Server(ws, "c:test", "--bind", "127.0.0.1", "--port", str(port), "--save", "", port=port)
    equal(redis(port, "SET greeting hello", "APPEND greeting ' world'", "GET greeting", "INCRBY n 42", "CONFIG GET dir"),
          "+OK\n:11\n$11\nhello world\n:42\n*2\n$3\ndir\n$5\n/data\n", "the answers")
    redis(port, "SHUTDOWN NOSAVE")
    equal(server.process.wait(60), 0, "the exit code after SHUTDOWN")


def redis(port, *commands):
    """The answers to commands, as they come, until the server has no more to say."""
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall("".join(f"{command}\r\n" for command in (*commands, "QUIT")).encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    return answer.replace("\r\n", "\n").removesuffix("+OK\n")


# ------------------------------------------------------------ Node


def npm(*arguments):
    """What this machine's npm says, with the configuration of whoever runs the test."""
    machine.need("npm")
    done = subprocess.run(["npm", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          cwd="/", timeout=300, check=False)
    if done.returncode:
        raise Failure(f"npm {' '.join(arguments)} failed:\n{indent(done.stderr.decode(errors='replace'))}")
    return done.stdout.decode().strip()


def npm_secrets(ws):
    """How this machine reaches the registry, for the steps: its npmrc and the authorities that it trusts."""
    config = pathlib.Path(npm("config", "get", "userconfig"))
    lines = config.read_text().splitlines() if config.exists() else []
    authorities, arguments = pathlib.Path(npm("config", "get", "cafile")), []
    if authorities.is_file():
        lines = [line for line in lines if not line.startswith("cafile")] + ["cafile=/run/secrets/npm-ca"]
        arguments = ["--secret", f"id=npm-ca,src={authorities}"]
    npmrc = ws.write("npmrc", "\n".join([*lines, f"registry={npm('config', 'get', 'registry')}", f"; {CANARY}", ""]), 0o600)
    return [*arguments, "--secret", f"id=npmrc,src={npmrc}"]


def test_node_red(ws):
    """Node-RED: npm with a cache mount and secrets; lint, test, build; a changed source reuses what npm installed."""
    npm("pack", "--silent", "--pack-destination", str(base_context(ws)), "npm@10")
    next(base_context(ws).glob("npm-*.tgz")).rename(base_context(ws) / "npm.tgz")
    make_base(ws, "node:18-slim")
    context = shutil.copytree(HERE / "node", ws.path / "node")
    arguments = (*npm_secrets(ws), "--build-arg", "NODE_RED_VERSION=4.1.8")
    image, log = build(ws, "node", context, *arguments)
    contains(log, "eslint src scripts test", "# pass 1", "4 nodes in dist/flows.json")
    equal(image.settings["Healthcheck"]["Interval"], 30 * 10**9, "the interval of the health check")
    tree = image.tree()
    equal(tree["usr/src/node-red/flows.json"].owner, (1000, 1000), "the owner of the flow")
    expect(not [path for path in tree if path.startswith(("root/.npm", "usr/src/node-red/node_modules/eslint/"))],
           "what only the build needs is part of the image")
    expect(not image.mentions(CANARY), "the npmrc is part of the image")
    require_same_from_cache(ws, "node", context, image, *arguments)
    equal(greet(ws), "Hello Ada!", "the greeting")

    ws.write("node/src/greeting.js", (context / "src/greeting.js").read_text().replace("Hello", "Good day"))
    _, log = build(ws, "node", context, *arguments)
    for step, hit in (("npm install", True), ("npm prune", True), ("COPY --from=production", True), ("npm run lint", False),
                      ("npm test", False), ("npm run build", False)):
        equal(was_cached(log, step), hit, f"whether {step} was cached after a change of the source")
    equal(greet(ws), "Good day Ada!", "the greeting after a change of the source")

    package = ws.write("node/package.json", (context / "package.json").read_text().replace('"1.0.0"', '"1.0.1"'))
    _, log = build(ws, "node", package.parent, *arguments, "--target", "dependencies", "--network", "none")
    expect(not was_cached(log, "npm install"), "npm did not run again")
    matches(log, r"added \d+ packages")


def greet(ws):
    """What the image answers."""
    port = registry.free_port()
    server = Server(ws, "node:test", "--port", str(port), port=port, ready="Started flows")
    words = server.get("/greet/Ada")
    server.stop()
    return words


# ------------------------------------------------------------ Python


def test_mercurial(ws):
    """Mercurial: scripts as here documents, its source as a bind mount, its own tests, a secret; served by a plain user."""
    make_base(ws, "python:3.11-slim")
    context = source(ws, "mercurial")
    arguments = ("--secret", f"id=note,src={ws.write('note', CANARY, 0o600)}")
    image, log = build(ws, "python", context, *arguments)
    contains(log, "Successfully installed mercurial", "# Ran 2 tests, 0 skipped, 0 failed.")
    equal((image.settings["User"], image.settings["Entrypoint"]), ("hg", ["hg"]), "user and entrypoint")
    tree = image.tree()
    equal((tree["home/hg/.hgrc"].owner, tree["home/hg/.hgrc"].mode), ((1000, 1000), 0o640), "the user's own file")
    expect([path for path in tree if re.search(r"/mercurial/cext/parsers\..*\.so$", path)], "no C extension was built")
    expect("usr/bin/gcc" not in tree, "the build stage is part of the image")
    expect(not {"src", "tests", "contrib", "run/secrets"} & {*tree}, "a mount is part of the image")
    expect(not image.mentions(CANARY), "the secret is part of the image")
    require_same_from_cache(ws, "python", context, image, *arguments)

    equal(ws.imgbuild("run", "python:test", "log", "--template", "{rev} {author|user} {desc}\n").out,
          "0 builder Note the sum of a secret\n", "the log")
    contains(ws.imgbuild("run", "python:test", "debuginstall").out, "no problems detected")
    port = registry.free_port()
    server = Server(ws, "python:test", "serve", "--address", "127.0.0.1", "--port", str(port), port=port)
    equal(server.get("/raw-file/tip/sum.txt"), hashlib.sha256(CANARY.encode()).hexdigest() + "\n", "the served file")
    server.stop()
