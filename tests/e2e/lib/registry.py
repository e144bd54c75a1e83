"""A real registry on a free port of the loopback, as Debian packages it."""
import json
import socket
import urllib.error
import urllib.request

import machine
from expect import Failure

CONFIG = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:{port}
"""


class Registry:
    """Lives until the end of the test. `host` is "127.0.0.1:PORT"."""

    def __init__(self, workspace):
        machine.need("docker-registry")
        for _ in range(5):  # between choosing a port and using it somebody else may take it
            self.port = free_port()
            config = workspace.write(f"registry-{self.port}.yml",
                                     CONFIG.format(storage=workspace.path / f"registry-{self.port}", port=self.port))
            self.process = workspace.start("docker-registry", "serve", config)
            machine.wait_until(lambda: self.answers() or self.process.poll() is not None, 20, "the registry answers")
            if self.process.poll() is None:
                return
        raise Failure(f"docker-registry does not start:\n{self.process.log.read_text(errors='replace')}")

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def answers(self):
        try:
            return self.request("/v2/").status == 200
        except OSError:
            return False

    def request(self, path, **headers):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(urllib.request.Request(f"http://{self.host}{path}", headers=headers), timeout=10)

    def manifest(self, name, reference):
        """(digest, manifest) as the registry serves it; None if it has none."""
        accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
        try:
            with self.request(f"/v2/{name}/manifests/{reference}", Accept=accept) as answer:
                return answer.headers["Docker-Content-Digest"], json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
