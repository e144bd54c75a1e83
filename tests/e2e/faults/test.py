"""What networks and broken or hostile registries do: success or a clear error within bounds, never a wrong image."""
import base64
import gzip
import hashlib
import json
import os
import time

import certificates
import fault_proxy
import oci
import registry
import token_server
from expect import Failure, contains, equal, expect, lacks
from fault_proxy import (Body, Corrupt, CorruptRequest, Delay, Drop, Endless, Longer, Redirect, Shorter, Status, Truncate,
                         WrongDigest)

QUICK = ("--retry", "2", "--retry-delay", "0.05")
BOUND = 30  # seconds for any of these
MANIFEST, CONFIG, BLOB = r"/manifests/", "config", "layer"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
BUSY = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'


class Setting:
    """A registry with team/app:1, and a proxy before it."""

    def __init__(self, ws):
        self.ws = ws
        self.registry = registry.Registry(ws)
        self.context = ws.context({"Buildfile": "FROM scratch\nCOPY big /big\n", "big": os.urandom(1_500_000)})
        ws.build(self.context, "-t", f"{self.registry.host}/team/app:1", "--push")
        self.digest, self.manifest = self.registry.manifest("team/app", "1")
        self.proxy = fault_proxy.FaultProxy(self.registry.host)
        self.runs = 0

    def pattern(self, what):
        """A request's path: a kind of thing, or a regular expression."""
        if what == CONFIG:
            return f"/blobs/{self.manifest['config']['digest']}"
        if what == BLOB:
            return f"/blobs/{self.manifest['layers'][0]['digest']}"
        return what

    def faulty(self, *faults):
        self.proxy.heal()
        self.proxy.log.clear()
        for method, what, fault, times in faults:
            self.proxy.fault(method, self.pattern(what), fault, times)

    def pull(self, name="team/app:1", code=0):
        """Builds FROM the image with a fresh store; on success the archive has the layers of the registry."""
        self.runs += 1
        ws, root = self.ws, self.ws.path / f"store-{self.runs}"
        context = ws.context({"Buildfile": f"FROM {self.proxy.host}/{name}\n"}, name="pull")
        out = ws.path / f"pulled-{self.runs}.tar"
        started = time.monotonic()
        done = ws.imgbuild("build", *QUICK, "-o", f"type=oci,dest={out}", context, env={"IMGBUILD_ROOT": root}, code=None,
                           timeout=BOUND)
        done.seconds = time.monotonic() - started
        equal(done.code, code, f"the exit code\n{done.story()}")
        check_store(root)
        if code == 0:
            equal(oci.load(out).manifest["layers"], self.manifest["layers"], "the layers")
        else:
            expect(not out.exists(), "there is an archive")
            check_error(done)
        return done

    def push(self, code=0):
        """Pushes something new; on success it is in the registry whole, else its name is not there."""
        self.runs += 1
        ws, name = self.ws, f"team/new{self.runs}"
        context = ws.context({"Buildfile": "FROM scratch\nCOPY big /big\n", "big": os.urandom(700_000)}, name="push")
        started = time.monotonic()
        done = ws.imgbuild("build", *QUICK, "-t", f"{self.proxy.host}/{name}:1", "--push", "-o", "type=oci,dest=pushed.tar",
                           context, code=None, timeout=BOUND)
        done.seconds = time.monotonic() - started
        equal(done.code, code, f"the exit code\n{done.story()}")
        there = self.registry.manifest(name, "1")
        if code == 0:
            equal(there[0], oci.load(ws.path / "pushed.tar").digest, "the digest")
            for blob in [there[1]["config"], *there[1]["layers"]]:
                with self.registry.request(f"/v2/{name}/blobs/{blob['digest']}") as answer:
                    equal("sha256:" + hashlib.sha256(answer.read()).hexdigest(), blob["digest"], "a blob")
        else:
            check_error(done)
        done.there = there
        return done


def check_store(root):
    """Every blob of the store has its digest."""
    for path in (root / "blobs/sha256").rglob("*"):
        if path.is_file():
            equal(hashlib.sha256(path.read_bytes()).hexdigest(), path.name, "the digest of a blob in the store")


def check_error(done):
    contains(done.err, "error: ")
    lacks(done.err, "imgbuild::", "std::", "terminate called")
    expect(len(done.err) < 4000, f"the message is too long: {len(done.err)} bytes")


def run_table(table, action):
    """All rows, and what is wrong with any of them in one go."""
    wrong = []
    for row in table:
        try:
            action(*row)
        except Failure as failure:
            wrong.append(f"{row[0]}: {failure}")
    expect(not wrong, "\n".join(wrong))


def test_pull_survives(ws):
    """What passes by is survived, and the image is the right one."""
    t = Setting(ws)

    def survive(name, method, what, fault, times, least_seconds=0):
        t.faulty((method, what, fault, times))
        done = t.pull()
        expect(done.seconds >= least_seconds, f"it took only {done.seconds:.2f} s")
    run_table([
        ("nothing", "GET", "never", Delay(0), 0),
        ("manifest dropped", "GET", MANIFEST, Drop(), 2),
        ("config dropped", "GET", CONFIG, Drop(), 2),
        ("layer dropped", "GET", BLOB, Drop(), 2),
        ("layer truncated", "GET", BLOB, Truncate(0.6), 2),
        ("layer reset half-way", "GET", BLOB, Truncate(0.6, reset=True), 2),
        ("manifest truncated", "GET", MANIFEST, Truncate(0.5), 1),
        ("layer delayed", "GET", BLOB, Delay(1.5), 1, 1.5),
        ("500 for the manifest", "GET", MANIFEST, Status(500), 2),
        ("503 for the layer", "GET", BLOB, Status(503), 2),
        ("429 for the layer", "GET", BLOB, Status(429, body=BUSY), 1),
        ("429 that says when", "GET", BLOB, Status(429, [("Retry-After", "2")], BUSY), 1, 2),
    ], survive)


def test_pull_goes_on(ws):
    """A download goes on where it broke, however often that is, as long as it gets further."""
    t = Setting(ws)
    t.faulty(("GET", BLOB, Truncate(0.9, reset=True), 2))
    t.pull()
    equal(t.proxy.count("GET", t.pattern(BLOB)), 3, "requests")


def test_pull_fails(ws):
    """What does not pass by, or is a lie, is an error that says what."""
    t = Setting(ws)
    layer = t.manifest["layers"][0]
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [
        {"mediaType": INDEX_TYPE, "digest": "sha256:" + "1" * 64, "size": 500, "platform": {"os": "linux", "architecture": "amd64"}}]}
    listed = json.loads(json.dumps(index))
    listed["manifests"][0]["mediaType"] = MANIFEST_TYPE
    self_listed = json.dumps(listed).encode()
    wrong_size = {**t.manifest, "layers": [{**layer, "size": layer["size"] - 1}]}

    def fail(name, method, what, fault, code, *words):
        t.faulty((method, what, fault, None))
        contains(t.pull(code=code).err, *words)
    run_table([
        ("manifest dropped", "GET", MANIFEST, Drop(), 10, "3 tries", t.proxy.host),
        ("layer dropped", "GET", BLOB, Drop(), 10, "3 tries", layer["digest"]),
        ("layer truncated", "GET", BLOB, Truncate(0.1), 10, "3 tries"),
        ("layer corrupted", "GET", BLOB, Corrupt(), 11, "corrupt", layer["digest"]),
        ("config corrupted", "GET", CONFIG, Corrupt(), 11, "corrupt"),
        ("manifest corrupted", "GET", MANIFEST, Corrupt(), 11, "corrupt"),
        ("401 without a challenge", "GET", BLOB, Status(401), 10, "401"),
        ("403", "GET", BLOB, Status(403), 10, "403"),
        ("404", "GET", MANIFEST, Status(404), 10, "404", "check the name"),
        ("429", "GET", MANIFEST, Status(429, body=BUSY), 10, "429", "slow down", "3 tries"),
        ("500", "GET", BLOB, Status(500), 10, "500", "3 tries"),
        ("redirect without TLS elsewhere", "GET", BLOB, Redirect("http://registry.invalid"), 10, "registry.invalid", "TLS"),
        ("redirect in a circle", "GET", BLOB, Redirect(t.proxy.origin), 10, "more than 5 redirects"),
        ("redirect to nowhere", "GET", BLOB, Status(307, [("Location", "gopher://x/")]), 10, "URL"),
        ("wrong digest", "GET", MANIFEST, WrongDigest(), 11, "corrupt", "as the registry says"),
        ("layer too long", "GET", BLOB, Longer(), 11, "corrupt", layer["digest"]),
        ("layer too short", "GET", BLOB, Shorter(), 11, "corrupt", layer["digest"]),
        ("size in the manifest wrong", "GET", MANIFEST, Body(json.dumps(wrong_size).encode()), 11, "corrupt"),
        ("endless layer", "GET", BLOB, Endless(), 11, "corrupt"),
        ("endless config", "GET", CONFIG, Endless(), 11, "corrupt"),
        ("endless manifest", "GET", MANIFEST, Endless(), 11, "larger than"),
        ("endless refusal", "GET", MANIFEST, Endless(403), 10, "403"),
        ("huge manifest", "GET", MANIFEST, Body(b" " * (5 << 20)), 11, "larger than"),
        ("manifest that is none", "GET", MANIFEST, Body(b"<html>hello</html>", "text/html"), 11, "JSON"),
        ("index in an index", "GET", MANIFEST, Body(json.dumps(index).encode(), INDEX_TYPE), 11, "index"),
        ("index that lists itself", "GET", MANIFEST, Body(self_listed, INDEX_TYPE), 11, "corrupt"),
    ], fail)


def test_push_survives(ws):
    """What passes by is survived, and the image in the registry is whole."""
    t = Setting(ws)

    def survive(name, method, what, fault, times, least_seconds=0):
        t.faulty((method, what, fault, times))
        done = t.push()
        expect(done.seconds >= least_seconds, f"it took only {done.seconds:.2f} s")
    upload = r"/blobs/uploads/"
    run_table([
        ("question dropped", "HEAD", "/blobs/", Drop(), 2),
        ("beginning dropped", "POST", upload, Drop(), 2),
        ("upload dropped at once", "PUT", upload, Drop(), 2),
        ("upload dropped half-way", "PUT", upload, Drop(350_000), 2),
        ("answer to an upload lost", "PUT", upload, Drop(1 << 30), 1),
        ("manifest dropped", "PUT", MANIFEST, Drop(), 2),
        ("answer to the manifest lost", "PUT", MANIFEST, Drop(1 << 30), 1),
        ("upload delayed", "PUT", upload, Delay(1.5), 1, 1.5),
        ("500 for the beginning", "POST", upload, Status(500), 2),
        ("500 for the upload", "PUT", upload, Status(500), 2),
        ("502 for the manifest", "PUT", MANIFEST, Status(502), 2),
        ("429 for the upload", "PUT", upload, Status(429, body=BUSY), 1),
        ("429 that says when", "PUT", upload, Status(429, [("Retry-After", "2")], BUSY), 1, 2),
    ], survive)


def test_push_fails(ws):
    """What does not pass by, or is a lie, is an error that says what; no name appears in the registry."""
    t = Setting(ws)

    def fail(name, method, what, fault, code, *words):
        t.faulty((method, what, fault, None))
        done = t.push(code=code)
        contains(done.err, *words)
        if name not in ("wrong digest of the manifest",):
            equal(done.there, None, "what is in the registry")
    upload = r"/blobs/uploads/"
    run_table([
        ("beginning dropped", "POST", upload, Drop(), 10, "3 tries"),
        ("upload dropped", "PUT", upload, Drop(350_000), 10, "3 tries"),
        ("manifest dropped", "PUT", MANIFEST, Drop(), 10, "3 tries", "manifests/1"),
        ("upload corrupted", "PUT", upload, CorruptRequest(), 10, "400", "DIGEST_INVALID"),
        ("401 without a challenge", "PUT", upload, Status(401), 10, "401"),
        ("403", "POST", upload, Status(403), 10, "403", "rights"),
        ("413", "PUT", upload, Status(413), 10, "413", "limits"),
        ("429", "PUT", upload, Status(429, body=BUSY), 10, "429", "slow down"),
        ("500", "PUT", MANIFEST, Status(500), 10, "500", "3 tries"),
        ("redirect of the upload", "PUT", upload, Redirect("http://registry.invalid"), 10, "307"),
        ("redirect of the beginning", "POST", upload, Redirect("http://registry.invalid"), 10, "registry.invalid", "TLS"),
        ("no location", "POST", upload, Status(202), 10, "did not say where"),
        ("wrong digest of a blob", "PUT", upload, WrongDigest(), 11, "corrupt", "as the registry says"),
        ("wrong digest of the manifest", "PUT", MANIFEST, WrongDigest(), 11, "corrupt"),
        ("endless refusal", "PUT", upload, Endless(403), 10, "403"),
        ("endless answer", "POST", upload, Endless(), 11, "larger than"),
    ], fail)


def test_credentials_stay(ws):
    """Wherever a registry sends us, in a redirect or for an upload, credentials go to itself alone."""
    t = Setting(ws)
    guarded = registry.Registry(ws, users={"robot": "canary-password"})
    auth = base64.b64encode(b"robot:canary-password").decode()
    guard = fault_proxy.FaultProxy(guarded.host)
    other = fault_proxy.FaultProxy(t.registry.host)
    ws.write("home/.docker/config.json", json.dumps({"auths": {guard.host: {"auth": auth}}}))
    ws.build(t.context, "-t", f"{guard.host}/team/app:1", "--push")
    expect(any(sent for _, _, sent in guard.log), "no credentials were sent at all")

    guard.fault("GET", "/blobs/", Redirect(other.origin))
    pulled = ws.context({"Buildfile": f"FROM {guard.host}/team/app:1\n"}, name="pull")
    ws.imgbuild("build", "-o", "type=oci,dest=x.tar", pulled, env={"IMGBUILD_ROOT": ws.path / "other-store"})

    class Elsewhere(fault_proxy.Fault):
        def change(self, answer):
            location = dict((key.lower(), value) for key, value in answer.headers)["location"]
            answer.header("Location", location.replace(guard.host, other.host))
    guard.heal()
    guard.fault("POST", "/uploads/", Elsewhere())
    new = ws.context({"Buildfile": "FROM scratch\nCOPY new /new\n", "new": os.urandom(1000)}, name="new")
    ws.build(new, *QUICK, "-t", f"{guard.host}/team/next:1", "--push", code=None)
    guard.heal()
    guard.fault("POST", "/uploads/", Redirect(other.origin))
    newer = ws.context({"Buildfile": "FROM scratch\nCOPY new /new\n", "new": os.urandom(1000)}, name="newer")
    ws.build(newer, *QUICK, "-t", f"{guard.host}/team/next:2", "--push", code=None)

    expect(len(other.log) >= 4, f"the other host was hardly asked: {other.log}")
    equal([entry for entry in other.log if entry[2] is not None], [], "requests with credentials at the other host")


def test_expired_in_the_middle(ws):
    """A 401 in the middle of a push gets a new token, and the push goes on."""
    tokens = token_server.TokenServer(certificates.Authority(ws), user="robot", password="secret")
    guarded = registry.Registry(ws, tokens=tokens)
    guard = fault_proxy.FaultProxy(guarded.host)
    auth = base64.b64encode(b"robot:secret").decode()
    ws.write("home/.docker/config.json", json.dumps({"auths": {guard.host: {"auth": auth}}}))
    challenge = f'Bearer realm="{tokens.realm}",service="{tokens.service}",error="invalid_token"'
    for method, what in (("PUT", "/uploads/"), ("PUT", "/manifests/"), ("HEAD", "/blobs/")):
        guard.heal()
        guard.fault("HEAD", "/blobs/", fault_proxy.Fault(), 1)  # the first one is refused by the registry itself
        guard.fault(method, what, Status(401, [("WWW-Authenticate", challenge)]), 1)
        context = ws.context({"Buildfile": "FROM scratch\nCOPY new /new\n", "new": os.urandom(200_000)}, name="new")
        before = tokens.tokens
        ws.build(context, *QUICK, "-t", f"{guard.host}/team/new:1", "--push")
        expect(tokens.tokens >= before + 2, f"no new token was fetched after {method} {what}")
    tokens.stop()


def test_layer_forms(ws):
    """Layers of every form that registries have are pulled: gzip of one and of many members, zstd, plain; OCI and docker."""
    import io
    import tarfile
    host = registry.Registry(ws)

    def tar(name, size):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            info = tarfile.TarInfo(name)
            info.size = size
            archive.addfile(info, io.BytesIO(b"x" * size))
        return buffer.getvalue()

    def members(raw):
        return b"".join(gzip.compress(raw[at:at + 4096], mtime=0) for at in range(0, len(raw), 4096))

    def zstd(raw):
        path = ws.write("raw", raw)
        ws.run("zstd", "-q", "-f", path, "-o", f"{path}.zst")
        return (ws.path / "raw.zst").read_bytes()
    oci_layer, docker_layer = "application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"
    forms = [("gzip", gzip.compress, "+gzip", ".gzip"), ("members", members, "+gzip", ".gzip"), ("zstd", zstd, "+zstd", ".zstd"),
             ("plain", bytes, "", "")]
    raws = [tar(name, 20_000 + n) for n, (name, *_) in enumerate(forms)]
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "history": [{}] * len(raws), "rootfs": {
        "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(raw).hexdigest() for raw in raws]}}).encode()

    def put(content):
        return upload(host, "forms", content)
    for dialect, kind, config_type in (("oci", MANIFEST_TYPE, "application/vnd.oci.image.config.v1+json"),
                                       ("docker", "application/vnd.docker.distribution.manifest.v2+json",
                                        "application/vnd.docker.container.image.v1+json")):
        layers = [{"mediaType": oci_layer + suffix if dialect == "oci" else docker_layer + docker_suffix, **put(pack(raw))}
                  for raw, (_, pack, suffix, docker_suffix) in zip(raws, forms)]
        manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": {"mediaType": config_type, **put(config)},
                               "layers": layers}).encode()
        host.put_manifest("forms", dialect, manifest, kind)
        listing = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [
            {"mediaType": kind, "digest": "sha256:" + hashlib.sha256(manifest).hexdigest(), "size": len(manifest),
             "platform": {"os": "linux", "architecture": "amd64"}}]}
        host.put_manifest("forms", f"{dialect}-index", listing, INDEX_TYPE)
        for tag in (dialect, f"{dialect}-index"):
            context = ws.context({"Buildfile": f"FROM {host.host}/forms:{tag}\nCOPY --from={host.host}/forms:{tag} /zstd /copy\n"})
            image = ws.build_image(context, "--platform", "linux/amd64", env={"IMGBUILD_ROOT": ws.path / f"store-{tag}"})
            equal(image.read("copy"), b"x" * 20_002, f"the copied file of {tag}")
            equal({"gzip", "members", "zstd", "plain"} - set(image.tree()), set(), f"missing files of {tag}")


def upload(host, name, content):
    import http.client
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
    connection.request("POST", f"/v2/{name}/blobs/uploads/")
    answer = connection.getresponse()
    answer.read()
    where = answer.getheader("Location").split(host.host, 1)[1]
    connection.request("PUT", f"{where}&digest={digest}", content, {"Content-Type": "application/octet-stream"})
    answer = connection.getresponse()
    answer.read()
    equal(answer.status, 201, "the upload")
    return {"digest": digest, "size": len(content)}
