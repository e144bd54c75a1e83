"""A real registry on a free port of the loopback, as Debian packages it."""
import base64
import http.client
import json
import socket
import ssl
import urllib.error
import urllib.request
import warnings

import machine
from expect import Failure, Skip

CONFIG = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:{port}
"""
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
             "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json")


class Registry:
    """Lives until the end of the test. `host` is "127.0.0.1:PORT".

    tls: a certificates.Authority. users: {name: password} for basic authentication. tokens: a token_server.TokenServer
    with the authority whose certificate it signs with.
    """

    def __init__(self, workspace, tls=None, users=None, tokens=None):
        machine.need("docker-registry")
        self.tls, self.users = tls, users
        for _ in range(5):  # between choosing a port and using it somebody else may take it
            self.port = free_port()
            self.storage = workspace.path / f"registry-{self.port}"
            config = workspace.write(f"registry-{self.port}.yml", CONFIG.format(storage=self.storage, port=self.port)
                                     + self._tls_config() + self._auth_config(workspace, tokens))
            self.process = workspace.start("docker-registry", "serve", config)
            machine.wait_until(lambda: self.answers() or self.process.poll() is not None, 20, "the registry answers")
            if self.process.poll() is None:
                return
        raise Failure(f"docker-registry does not start:\n{self.process.log.read_text(errors='replace')}")

    def _tls_config(self):
        return f"  tls: {{certificate: {self.tls.cert}, key: {self.tls.key}}}\n" if self.tls else ""

    def _auth_config(self, workspace, tokens):
        if tokens:
            return (f"auth:\n  token: {{realm: '{tokens.realm}', service: {tokens.service}, issuer: {tokens.issuer}, "
                    f"rootcertbundle: {tokens.cert}}}\n")
        if self.users:
            lines = "".join(f"{user}:{bcrypt(password)}\n" for user, password in self.users.items())
            path = workspace.write(f"htpasswd-{self.port}", lines, 0o600)
            return f"auth:\n  htpasswd: {{realm: test, path: {path}}}\n"
        return ""

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def answers(self):
        try:
            return self.request("/v2/").status == 200
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False

    def request(self, path, **headers):
        handlers = [urllib.request.ProxyHandler({})]
        if self.tls:
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(self.tls.ca))))
        if self.users:
            user, password = next(iter(self.users.items()))
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        opener = urllib.request.build_opener(*handlers)
        scheme = "https" if self.tls else "http"
        return opener.open(urllib.request.Request(f"{scheme}://{self.host}{path}", headers=headers), timeout=10)

    def manifest(self, name, reference):
        """(digest, manifest) as the registry serves it; None if it has none."""
        try:
            with self.request(f"/v2/{name}/manifests/{reference}", Accept=MANIFESTS) as answer:
                return answer.headers["Docker-Content-Digest"], json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def put_manifest(self, name, reference, document, media_type):
        """Stores a manifest as it is (a dict, or bytes)."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("PUT", f"/v2/{name}/manifests/{reference}", body, {"Content-Type": media_type})
        answer = connection.getresponse()
        if answer.status != 201:
            raise Failure(f"the registry does not take the manifest: {answer.status} {answer.read()!r}")


def bcrypt(password):
    """The one form of htpasswd that docker-registry reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            import crypt
        except ImportError:
            raise Skip("this Python has no crypt module") from None
    hashed = crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=2 ** 5))
    if not hashed or not hashed.startswith("$2"):
        raise Skip("this libcrypt has no bcrypt")
    return hashed


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
