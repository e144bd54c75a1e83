"""Keys and certificates for tests, made with the openssl command."""
import machine


class Authority:
    """A CA with a certificate for servers on 127.0.0.1. Paths: `ca`, `cert`, `key`."""

    def __init__(self, workspace, name="tls"):
        machine.need("openssl")
        self.workspace = workspace
        self.folder = workspace.path / name
        self.folder.mkdir()
        self.ca, self._ca_key = self._self_signed("ca", "/CN=test authority", "-addext", "basicConstraints=critical,CA:TRUE")
        self.cert, self.key = self.issue("server", "subjectAltName=IP:127.0.0.1,DNS:localhost")

    def _openssl(self, *arguments):
        self.workspace.run("openssl", *arguments, cwd=self.folder)

    def _self_signed(self, name, subject, *more):
        cert, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", subject, "-keyout", key,
                      "-out", cert, *more)
        return cert, key

    def issue(self, name, extension):
        """(certificate, key), signed by this authority."""
        cert, key, request = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        extensions = self.workspace.write(f"{self.folder.name}/{name}.ext", extension + "\n")
        self._openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._ca_key, "-CAcreateserial", "-days", "2",
                      "-extfile", extensions, "-out", cert)
        return cert, key
