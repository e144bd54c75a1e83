"""A build that is stopped leaves no process and no mount, and the next one works."""
import os
import signal

import machine
import workspace
from expect import contains, equal, expect

# An argument that no other process on the machine has.
SECONDS = str(10**7 + os.getpid())


def start_sleeping_step(ws):
    """A build in the middle of a RUN step, and the family of its processes."""
    machine.need_root()
    context = ws.context({"Buildfile": f"FROM busybox\nRUN echo x > /x; sleep {SECONDS} & sleep {SECONDS}; true\n"})
    build = ws.start(workspace.binary(), "build", "--progress", "plain", "--build-context", f"busybox={ws.busybox()}",
                     "-o", "type=oci,dest=out.tar", context)
    machine.wait_until(lambda: len(machine.with_argument(SECONDS)) >= 2 or build.poll() is not None, 60,
                       "the step runs")
    expect(build.poll() is None, f"the build ended early:\n{build.log.read_text(errors='replace')}")
    return build, machine.descendants(build.pid)


def require_nothing_left(ws, family, mounts_before):
    machine.wait_until(lambda: not machine.alive(family) and not machine.with_argument(SECONDS), 10,
                       lambda: f"these live on: {machine.alive(family)} {machine.with_argument(SECONDS)}")
    equal(machine.mounts_below(ws.path), [], "mounts in any namespace")
    equal(machine.mounts(), mounts_before, "our mounts")
    expect(not list(ws.path.glob("out.tar*")), "a partial archive is left behind")


def require_next_build_works(ws):
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo fine > /fine\n"}, name="next")
    equal(ws.build_image(context).read("fine"), b"fine\n", "the next build")
    equal(machine.unfinished(ws.root), [], "what is left in the store's tmp")


def stop_by(ws, number, code, group=False):
    before = machine.mounts()
    build, family = start_sleeping_step(ws)
    if group:
        os.killpg(build.pid, number)
    else:
        build.send_signal(number)
    equal(build.wait(timeout=20), code, f"the exit code\n{build.log.read_text(errors='replace')}")
    require_nothing_left(ws, family, before)
    require_next_build_works(ws)
    return build.log.read_text(errors="replace")


def test_layers_are_packed_meanwhile(ws):
    """While a step runs, the layers below it are packed already; stopping the build then leaves nothing half done."""
    machine.need_root()
    before = machine.mounts()
    context = ws.context({"Buildfile": f"FROM busybox\nRUN head -c 5000000 /dev/urandom > /noise\nRUN sleep {SECONDS}; true\n"})
    build = ws.start(workspace.binary(), "build", "--progress", "plain", "--build-context", f"busybox={ws.busybox()}",
                     "-o", "type=oci,dest=out.tar", context)
    blobs = ws.root / "blobs" / "sha256"
    machine.wait_until(lambda: build.poll() is not None or any(path.stat().st_size > 5000000 for path in blobs.glob("*")), 60,
                       "the first layer is packed")
    expect(build.poll() is None, f"the build ended early:\n{build.log.read_text(errors='replace')}")
    family = machine.descendants(build.pid)
    build.send_signal(signal.SIGINT)
    equal(build.wait(timeout=20), 130, "the exit code")
    require_nothing_left(ws, family, before)
    require_next_build_works(ws)


def test_interrupt(ws):
    """SIGINT ends the step and the build with 130."""
    contains(stop_by(ws, signal.SIGINT, 130), "error: the build was stopped")


def test_interrupt_from_terminal(ws):
    """SIGINT to the whole process group, as a terminal sends it, is the same."""
    stop_by(ws, signal.SIGINT, 130, group=True)


def test_terminate(ws):
    """SIGTERM ends the build with 143."""
    stop_by(ws, signal.SIGTERM, 143)


def test_kill(ws):
    """SIGKILL of the build takes the step with it; the next build cleans up what was begun."""
    stop_by(ws, signal.SIGKILL, -signal.SIGKILL)


def test_background_process_of_a_step(ws):
    """A process that a step leaves in the background ends with the step."""
    machine.need_root()
    context = ws.context({"Buildfile": f"FROM busybox\nRUN sleep {SECONDS} & true\n"})
    ws.build(context, timeout=60)
    equal(machine.with_argument(SECONDS), [], "left processes")
