"""A proxy before a registry that does to chosen requests what networks and broken or hostile registries do.

    proxy = FaultProxy(host.host)
    proxy.fault("GET", r"/blobs/", Truncate(0.5), times=1)
    ws.imgbuild("copy", f"docker://{proxy.host}/app:1", …)
    proxy.log                    # (method, path, Authorization) of everything that came, oldest first

It speaks HTTP/1.1, one request per connection, and hands everything else through unchanged.
"""
import http.client
import http.server
import os
import re
import socket
import struct
import threading
import time

PIECE = 64 * 1024


class Answer:
    """What the registry said, for a fault to change before it is sent."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name, value):
        """Replaces a header; None removes it."""
        self.headers = [(key, old) for key, old in self.headers if key.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))


class Fault:
    """Does nothing. `before` may answer in place of the registry, `change` what it said, `send` how it is sent."""

    def before(self, handler):
        return None

    def change(self, answer):
        pass

    def send(self, handler, answer):
        handler.send_answer(answer)


class Drop(Fault):
    """Resets the connection; with `after`, when that many bytes of the request's body have been read."""

    def __init__(self, after=0):
        self.after = after

    def before(self, handler):
        left = min(self.after, handler.body_size())
        while left > 0:
            left -= len(handler.rfile.read(min(left, PIECE)))
        handler.reset()
        return Answer(0, [], b"")


class Truncate(Fault):
    """Announces the whole body and sends a part of it (0…1), then closes, or resets the connection."""

    def __init__(self, part, reset=False):
        self.part, self.reset = part, reset

    def send(self, handler, answer):
        handler.send_head(answer, len(answer.body))
        handler.wfile.write(answer.body[:int(len(answer.body) * self.part)])
        handler.wfile.flush()
        if self.reset:
            handler.reset()
        handler.close_connection = True


class Delay(Fault):
    def __init__(self, seconds):
        self.seconds = seconds

    def send(self, handler, answer):
        time.sleep(self.seconds)
        handler.send_answer(answer)


class Corrupt(Fault):
    """Changes one byte in the middle of the answer's body."""

    def change(self, answer):
        if answer.body:
            middle = len(answer.body) // 2
            answer.body = answer.body[:middle] + bytes([answer.body[middle] ^ 1]) + answer.body[middle + 1:]


class CorruptRequest(Fault):
    """Changes one byte of the request's body on its way to the registry."""

    def before(self, handler):
        handler.corrupt_request = True


class Status(Fault):
    """Answers by itself, after reading the whole request."""

    def __init__(self, status, headers=(), body=b'{"errors":[{"code":"UNKNOWN","message":"by the proxy"}]}'):
        self.answer = (status, list(headers), body)

    def before(self, handler):
        handler.read_body()
        return Answer(*self.answer)


class Redirect(Status):
    """307 to the same path elsewhere."""

    def __init__(self, origin):
        super().__init__(307)
        self.origin = origin

    def before(self, handler):
        handler.read_body()
        return Answer(307, [("Location", self.origin + handler.path)], b"")


class WrongDigest(Fault):
    def change(self, answer):
        answer.header("Docker-Content-Digest", "sha256:" + "5" * 64)


class Longer(Fault):
    """Bytes after the end of the body, announced as belonging to it."""

    def change(self, answer):
        answer.body += b"more"


class Shorter(Fault):
    """The end of the body is missing, and Content-Length agrees."""

    def change(self, answer):
        answer.body = answer.body[:len(answer.body) // 2]


class Endless(Fault):
    """A body that never ends, in chunks; with `status`, as that answer."""

    def __init__(self, status=None):
        self.status = status

    def send(self, handler, answer):
        answer.status = self.status or answer.status
        answer.header("Content-Length", None)
        answer.header("Transfer-Encoding", "chunked")
        handler.send_head(answer, None)
        piece = b"%x\r\n" % PIECE + b"x" * PIECE + b"\r\n"
        sent = 0
        while sent < 8 << 30:
            handler.wfile.write(piece)
            sent += PIECE
        raise AssertionError("eight gigabytes of nonsense were taken")


class Body(Fault):
    """Another body of the same kind."""

    def __init__(self, body, content_type=None):
        self.body, self.content_type = body, content_type

    def change(self, answer):
        answer.status, answer.body = 200, self.body
        answer.header("Docker-Content-Digest", None)
        if self.content_type:
            answer.header("Content-Type", self.content_type)


class FaultProxy:
    def __init__(self, upstream):
        self.upstream, self.log, self._faults = upstream, [], []
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def host(self):
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def origin(self):
        return f"http://{self.host}"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def fault(self, method, pattern, fault, times=None):
        """The next `times` (None: all) requests of this method whose path matches meet this fault."""
        self._faults.append([method, re.compile(pattern), fault, times])

    def heal(self):
        self._faults.clear()

    def count(self, method, pattern):
        return sum(1 for m, path, _ in self.log if m == method and re.search(pattern, path))

    def _take(self, method, path):
        with self._lock:
            for entry in self._faults:
                if entry[0] == method and entry[1].search(path) and entry[3] != 0:
                    if entry[3] is not None:
                        entry[3] -= 1
                    return entry[2]
        return Fault()

    def _handler(outer):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                self.corrupt_request, self._body = False, None
                self.close_connection = True
                outer.log.append((self.command, self.path, self.headers.get("Authorization")))
                fault = outer._take(self.command, self.path)
                try:
                    answer = fault.before(self)
                    if answer is None:
                        answer = self.ask()
                        fault.change(answer)
                    if answer.status:
                        fault.send(self, answer)
                except (BrokenPipeError, ConnectionResetError):
                    pass

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = serve

            def body_size(self):
                return int(self.headers.get("Content-Length", 0))

            def read_body(self):
                if self._body is None:
                    self._body = self.rfile.read(self.body_size())
                return self._body

            def ask(self):
                body = self.read_body()
                if self.corrupt_request and body:
                    body = bytes([body[0] ^ 1]) + body[1:]
                connection = http.client.HTTPConnection(outer.upstream, timeout=60)
                headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
                connection.request(self.command, self.path, body or None, headers)
                said = connection.getresponse()
                kept = [(key, value) for key, value in said.getheaders()
                        if key.lower() not in ("content-length", "connection", "transfer-encoding")]
                answer = Answer(said.status, kept, said.read())
                if self.command == "HEAD":
                    answer.header("Content-Length", said.getheader("Content-Length") or "0")
                connection.close()
                return answer

            def send_head(self, answer, length):
                self.send_response_only(answer.status)
                for key, value in answer.headers:
                    self.send_header(key, value)
                if length is not None and self.command != "HEAD":
                    self.send_header("Content-Length", str(length))
                self.send_header("Connection", "close")
                self.end_headers()

            def send_answer(self, answer):
                self.send_head(answer, len(answer.body))
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            def reset(self):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.wfile.flush()
                os.close(self.connection.detach())
                raise ConnectionResetError

            def log_message(self, *arguments):
                pass
        return Handler
