"""The trap of make and cargo: a dummy source is built first, the real one is copied over it and must be built too.

If the copied file is not newer than what the dummy step made, make believes it has nothing to do and the image holds
the dummy. docs/determinism.md explains the layer times that prevent it.
"""
from expect import equal, expect

# What make does, in the shell: build when the target is missing or older than its source.
BUILD = "#!/bin/sh\nif [ ! -e /w/app ] || [ /w/main -nt /w/app ]; then cp /w/main /w/app.new && mv /w/app.new /w/app; fi\n"
BUILDFILE = """\
FROM busybox
WORKDIR /w
COPY build /w/build
RUN echo dummy > main && ./build
COPY main /w/main
RUN ./build
"""


def sample(ws, main="real\n"):
    return ws.context({"Buildfile": BUILDFILE, "build": (BUILD, 0o755), "main": main})


def test_real_source_is_built(ws):
    """The real source is in the image, however old the checkout is."""
    equal(ws.build_image(sample(ws)).read("w/app"), b"real\n", "what was built")


def test_with_a_cached_dummy(ws):
    """The same with the dummy step taken from the cache, and with another source after it."""
    ws.build(sample(ws))
    equal(ws.build_image(sample(ws, "changed\n")).read("w/app"), b"changed\n", "what was built")


def test_with_an_early_epoch(ws):
    """An explicit, early SOURCE_DATE_EPOCH bounds the times of the image but does not spring the trap."""
    image = ws.build_image(sample(ws), "--source-date-epoch", "1577900000")
    equal(image.read("w/app"), b"real\n", "what was built")
    times = {path: node.mtime for path, node in image.tree().items() if node.mtime > 1577900000}
    expect(not times, f"later than the epoch: {times}")


def test_later_layers_are_newer(ws):
    """Files of a later layer are newer than those of an earlier one, and those newer than the base."""
    context = ws.context({"Buildfile": "FROM busybox\nCOPY a /a\nRUN touch /b\nCOPY c /c\n", "a": "", "c": ""})
    tree = ws.build_image(context).tree()
    times = [tree[path].mtime for path in ("bin/busybox", "a", "b", "c")]
    expect(times == sorted(set(times)), f"the times are {times}")
