"""The example that a newcomer builds first; tools/quickstart.sh takes the same steps."""
import os

import machine
import workspace
from expect import Skip, contains, equal, lacks, matches

EXAMPLE = workspace.TOP / "examples" / "hello"


def build(ws, *arguments):
    machine.need_root()
    if not os.path.exists("/bin/busybox"):
        raise Skip("Debian's busybox-static is not installed (tools/install-packages.sh test)")
    return ws.imgbuild("--progress", "plain", "-t", "hello:1", "--build-context", "tools=/bin", *arguments, EXAMPLE)


def test_hello(ws):
    """examples/hello builds without any registry, is listed, and greets; a second build runs nothing."""
    build(ws)
    contains(ws.imgbuild("images").out, "hello")
    greeting = ws.imgbuild("run", "hello:1").out
    contains(greeting, "Hello world!")
    again = build(ws).err
    matches(again, r"^#\d+ CACHED$")
    lacks(again, " DONE ")
    equal(ws.imgbuild("run", "hello:1").out, greeting, "the second greeting")


def test_argument(ws):
    """A build argument changes the greeting."""
    build(ws, "--build-arg", "WHO=you")
    contains(ws.imgbuild("run", "hello:1").out, "Hello you!")
