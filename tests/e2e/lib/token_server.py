"""A small token server for docker-registry: basic credentials or a refresh token in, signed tokens out."""
import base64
import http.server
import json
import secrets
import subprocess
import threading
import time
import urllib.parse


def _b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    """Lives until stop(). `requests` keeps (method, path with query, Authorization, body) of everything it was asked."""

    service, issuer = "test-registry", "test-issuer"

    def __init__(self, authority, user="user", password="secret", refresh_token=None, anonymous=(), life=300):
        self.cert, self.key = authority.cert, authority.key
        self.user, self.password, self.refresh_token = user, password, refresh_token
        self.anonymous, self.life = anonymous, life
        self.requests, self.tokens = [], 0
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def realm(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}/token"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def token(self, scopes):
        """A JWT that docker-registry believes, for scopes like "repository:a/b:pull,push"."""
        now = int(time.time())
        chain = subprocess.run(["openssl", "x509", "-in", self.cert, "-outform", "DER"], check=True, stdout=subprocess.PIPE)
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(chain.stdout).decode()]}
        access = []
        for scope in scopes:
            kind, rest = scope.split(":", 1)
            name, actions = rest.rsplit(":", 1)
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        claims = {"iss": self.issuer, "sub": self.user, "aud": self.service, "exp": now + max(self.life, 1),
                  "nbf": now - 10, "iat": now, "jti": secrets.token_hex(8), "access": access}
        signed = f"{_b64url(json.dumps(header).encode())}.{_b64url(json.dumps(claims).encode())}"
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=signed.encode(), check=True,
                                   stdout=subprocess.PIPE).stdout
        self.tokens += 1
        return f"{signed}.{_b64url(signature)}"

    def _may(self, authorization, form):
        if authorization is None and form.get("refresh_token") is None:
            return "anonymous"
        if form.get("refresh_token") is not None:
            return "user" if self.refresh_token and form["refresh_token"] == self.refresh_token else None
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return "user" if authorization == f"Basic {pair}" else None

    def _handler(outer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                self._answer(query.get("scope", []), {})

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                form = dict(urllib.parse.parse_qsl(body))
                self._answer(form.get("scope", "").split(), form, body)

            def _answer(self, scopes, form, body=""):
                outer.requests.append((self.command, self.path, self.headers.get("Authorization"), body))
                who = outer._may(self.headers.get("Authorization"), form)
                if who == "anonymous":
                    scopes = [scope for scope in scopes if scope in outer.anonymous]
                if who is None or (who == "anonymous" and not outer.anonymous):
                    return self._send(401, {"details": "incorrect username or password"})
                return self._send(200, {"token": outer.token(scopes), "expires_in": outer.life})

            def _send(self, status, document):
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments):
                pass
        return Handler
