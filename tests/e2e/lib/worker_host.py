"""A host of `imgbuild worker`, written from docs/worker-protocol.md alone: the other side of the protocol."""
import array
import json
import os
import select
import socket
import subprocess
import time

import plain_user
import workspace
from expect import Failure, expect

PROTOCOL = 1


class Worker:
    """A started worker. Use in a `with`; what it leaves behind is killed."""

    def __init__(self, ws, user=None, **environment):
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            fd = theirs.fileno()
            self.process = subprocess.Popen(
                [plain_user.for_everybody(workspace.binary()) if user else workspace.binary(), "worker", "--fd", str(fd)], pass_fds=[fd], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ws.environment(**environment), cwd=ws.path,
                start_new_session=True, user=user, group="nogroup" if user else None,
                extra_groups=[] if user else None)
        self._buffer = b""
        self.events = []
        self.hello = self.receive()["hello"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def send(self, message, descriptors=()):
        """A message (or a raw line, as bytes), with descriptors beside its first byte."""
        line = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        sent = self.socket.sendmsg([line], rights)
        # A worker that refuses the request may be gone by now, which is no error unless it has not read it all.
        if sent < len(line):
            self.socket.sendall(line[sent:])

    def request(self, task, descriptors=None, **members):
        """Asks for a task; descriptors are {"stdout": fd}."""
        descriptors = descriptors or {}
        self.send({"request": {"protocol": PROTOCOL, "task": task, "descriptors": list(descriptors), **members}},
                  list(descriptors.values()))

    def receive(self, timeout=120):
        """The next message; None at the end."""
        until = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            expect(select.select([self.socket], [], [], max(0, until - time.monotonic()))[0],
                   f"the worker says nothing for {timeout} s")
            try:
                chunk = self.socket.recv(65536)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                expect(not self._buffer, f"the worker ended within a line: {self._buffer[:200]!r}")
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def until_event(self, kind):
        """Reads events until one of this kind."""
        while True:
            message = self.receive()
            if message is None or "event" not in message:
                raise Failure(f"instead of the event '{kind}': {message}")
            self.events.append(message["event"])
            if kind in message["event"]:
                return message["event"][kind]

    def until_ask(self):
        """Reads events until a question."""
        while True:
            message = self.receive()
            if message is None or not {"event", "ask"} & set(message):
                raise Failure(f"instead of a question: {message}")
            if "ask" in message:
                return message["ask"]
            self.events.append(message["event"])

    def answer(self, asked, value):
        """Answers with these bytes in a memory file; None: there is no such thing."""
        answer = {"number": asked["number"], "found": value is not None, "has_descriptor": value is not None}
        if value is None:
            self.send({"answer": answer})
            return
        with os.fdopen(os.memfd_create("answer"), "r+b") as file:
            file.write(value)
            file.flush()
            file.seek(0)
            self.send({"answer": answer}, [file.fileno()])

    def end(self, code=0):
        """Reads to the one result or error, and waits for the worker's end."""
        while True:
            message = self.receive()
            if message is None:
                raise Failure("the worker ended without a result")
            if "event" not in message:
                break
            self.events.append(message["event"])
        expect(self.receive() is None, "something came after the result")
        out, err = self.process.communicate(timeout=60)
        expect((self.process.returncode, out, err) == (code, b"", b""),
               f"the worker ended with {self.process.returncode}, out {out!r}, err {err!r}")
        return message

    def result(self, kind):
        message = self.end()
        if kind not in message.get("result", {}):
            raise Failure(f"instead of the result '{kind}': {message}")
        return message["result"][kind]

    def error(self, code):
        message = self.end()
        expect(message.get("error", {}).get("code") == code, f"instead of the error '{code}': {message}")
        return message["error"]


def host_platform():
    machine = os.uname().machine
    return {"os": "linux", "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)}


def build_task(ws, context, **members):
    """The task of building the Buildfile of a context, with busybox as a base."""
    platform = host_platform()
    text = (context / "Buildfile").read_text()
    lower = {"contexts": [["busybox", {"kind": "image", "locator": ws.busybox()}]], "target_platform": platform,
             "build_platform": platform, **members.pop("lower", {})}
    return {"build": {"file": {"name": "Buildfile", "text": text}, "file_path": str(context / "Buildfile"),
                      "context": str(context), "lower": lower, **members}}
