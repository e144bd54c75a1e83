"""Registries that want to know who we are: TLS, basic credentials, tokens; and that nobody else learns it."""
import base64
import json
import os
import pathlib
import stat
import threading
import time

import certificates
import machine
import oci
import registry
import token_server
from expect import contains, equal, expect, lacks

CANARY = "canary-7f3a9c-password"
USER = "robot"


def sealed(ws):
    """A context that needs no step, so that everything works without a sandbox."""
    return ws.context({"Buildfile": "FROM scratch\nCOPY file /file\nCMD [\"/file\"]\n", "file": "content\n"})


def config(ws, host, user=USER, password=CANARY, name="home/.docker/config.json"):
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    return ws.write(name, json.dumps({"auths": {host: {"auth": auth}}}), 0o600)


def round_trip(ws, host, *options, env=None):
    """Pushes as app:1 and pulls into another store; the archive of the pulled image has the pushed digest."""
    context = sealed(ws)
    ws.build(context, "-t", f"{host}/team/app:1", "--push", "-o", "type=oci,dest=out.tar", *options, env=env)
    follow = ws.context({"Buildfile": f"FROM {host}/team/app:1\n"}, name="next")
    ws.imgbuild("build", "--pull", "-o", "type=oci,dest=next.tar", *options, follow,
                env={**(env or {}), "IMGBUILD_ROOT": ws.path / "other-store"})
    pushed, pulled = oci.load(ws.path / "out.tar"), oci.load(ws.path / "next.tar")
    equal(pulled.manifest["layers"], pushed.manifest["layers"], "the layers")
    equal(pulled.read("file"), b"content\n", "the file")
    return pushed.digest


def test_tls(ws):
    """A registry with TLS on the loopback is found out; its certificate must be trusted, by --cert-dir or certs.d."""
    tls = certificates.Authority(ws)
    host = registry.Registry(ws, tls=tls)
    err = ws.build(sealed(ws), "-t", f"{host.host}/team/app:1", "--push", code=10).err
    contains(err, "not trusted", "certs.d", "--cert-dir")
    (ws.path / "certs").mkdir()
    (ws.path / "certs/ca.crt").write_bytes(tls.ca.read_bytes())
    digest = round_trip(ws, host.host, "--cert-dir", ws.path / "certs")
    equal(host.manifest("team/app", "1")[0], digest, "the digest in the registry")
    ws.write(f"home/.config/containers/certs.d/{host.host}/ca.crt", tls.ca.read_bytes())
    round_trip(ws, host.host)


def test_system_authorities(ws):
    """SSL_CERT_FILE stands in place of the system's CAs."""
    tls = certificates.Authority(ws)
    host = registry.Registry(ws, tls=tls)
    round_trip(ws, host.host, env={"SSL_CERT_FILE": tls.ca})


def test_other_certificate(ws):
    """A CA that is trusted for one registry says nothing about another."""
    host = registry.Registry(ws, tls=certificates.Authority(ws, "one"))
    other = certificates.Authority(ws, "other")
    ws.write(f"home/.config/containers/certs.d/{host.host}/ca.crt", other.ca.read_bytes())
    contains(ws.build(sealed(ws), "-t", f"{host.host}/team/app:1", "--push", code=10).err, "not trusted")


def test_bad_certificate_directories(ws):
    """A directory that is not there, and a client's certificate without its key, are errors with a way out."""
    context = sealed(ws)
    contains(ws.build(context, "-t", "127.0.0.1:1/a", "--push", "--cert-dir", ws.path / "none", code=10).err,
             "no directory")
    tls = certificates.Authority(ws)
    host = registry.Registry(ws, tls=tls)
    ws.write("half/client.cert", tls.cert.read_bytes())
    contains(ws.build(context, "-t", f"{host.host}/a", "--push", "--cert-dir", ws.path / "half", code=10).err,
             "client.key", "NAME.cert")


def test_basic(ws):
    """Basic credentials from docker's config, and the errors without and with wrong ones."""
    host = registry.Registry(ws, users={USER: CANARY})
    context = sealed(ws)
    err = ws.build(context, "-t", f"{host.host}/team/app:1", "--push", code=10).err
    contains(err, "401", f"imgbuild login {host.host}")
    path = config(ws, host.host, password="wrong-" + CANARY)
    err = ws.build(context, "-t", f"{host.host}/team/app:1", "--push", code=10).err
    contains(err, "401", str(path))
    lacks(err, CANARY)
    config(ws, host.host)
    round_trip(ws, host.host)


def test_places(ws):
    """Credentials are found in DOCKER_AUTH_CONFIG, REGISTRY_AUTH_FILE, DOCKER_CONFIG, auth.json and --authfile."""
    host = registry.Registry(ws, users={USER: CANARY})
    file = config(ws, host.host, name="elsewhere/config.json")
    round_trip(ws, host.host, env={"DOCKER_AUTH_CONFIG": file.read_text()})
    round_trip(ws, host.host, env={"REGISTRY_AUTH_FILE": file})
    round_trip(ws, host.host, env={"DOCKER_CONFIG": file.parent})
    round_trip(ws, host.host, "--authfile", file)
    config(ws, f"{host.host}/team", name="home/.config/containers/auth.json")
    round_trip(ws, host.host)
    contains(ws.build(sealed(ws), "-t", f"{host.host}/other/app:1", "--push", code=10).err, "401")


def test_helper(ws):
    """A credential helper is asked on its standard input; a missing one is named."""
    host = registry.Registry(ws, users={USER: CANARY})
    ws.write("home/.docker/config.json", json.dumps({"credHelpers": {host.host: "e2e"}}))
    err = ws.build(sealed(ws), "-t", f"{host.host}/team/app:1", "--push", code=10).err
    contains(err, "docker-credential-e2e", "not installed")
    ws.write("bin/docker-credential-e2e", "#!/bin/sh\nread server\n[ \"$1\" = get ] && echo "
             f"'{{\"Username\":\"{USER}\",\"Secret\":\"{CANARY}\"}}'\n", 0o755)
    round_trip(ws, host.host, env={"PATH": f"{ws.path}/bin:{os.environ['PATH']}"})


def test_tokens(ws):
    """Tokens are fetched with credentials; one for the push, and none for what they do not allow."""
    tokens = token_server.TokenServer(certificates.Authority(ws), user=USER, password=CANARY)
    host = registry.Registry(ws, tokens=tokens)
    err = ws.build(sealed(ws), "-t", f"{host.host}/team/app:1", "--push", code=10).err
    contains(err, "401")
    config(ws, host.host)
    tokens.requests.clear()
    round_trip(ws, host.host)
    scopes = [path.split("scope=")[1] for _, path, _, _ in tokens.requests]
    equal(scopes, ["repository%3Ateam%2Fapp%3Apull%2Cpush", "repository%3Ateam%2Fapp%3Apull"], "the scopes asked for")
    tokens.stop()


def test_anonymous_tokens(ws):
    """A public image is pulled with an anonymous token; nobody's credentials are needed."""
    tokens = token_server.TokenServer(certificates.Authority(ws), user=USER, password=CANARY,
                                      anonymous=("repository:team/app:pull",))
    host = registry.Registry(ws, tokens=tokens)
    file = config(ws, host.host, name="pusher.json")
    ws.build(sealed(ws), "-t", f"{host.host}/team/app:1", "--push", "--authfile", file)
    context = ws.context({"Buildfile": f"FROM {host.host}/team/app:1\n"}, name="next")
    ws.imgbuild("build", "-o", "type=oci,dest=next.tar", context, env={"IMGBUILD_ROOT": ws.path / "other-store"})
    equal(tokens.requests[-1][2], None, "the credentials of the pull")
    tokens.stop()


def test_identity_token(ws):
    """An identity token buys tokens by POST."""
    tokens = token_server.TokenServer(certificates.Authority(ws), refresh_token=CANARY)
    host = registry.Registry(ws, tokens=tokens)
    ws.write("home/.docker/config.json", json.dumps({"auths": {host.host: {"identitytoken": CANARY}}}))
    round_trip(ws, host.host)
    equal({method for method, _, _, _ in tokens.requests}, {"POST"}, "the methods")
    tokens.stop()


def test_short_tokens(ws):
    """Tokens that live for two seconds are replaced as often as it takes, in the middle of a push as well."""
    tokens = token_server.TokenServer(certificates.Authority(ws), user=USER, password=CANARY, life=2)
    host = registry.Registry(ws, tokens=tokens)
    config(ws, host.host)
    files = {f"part-{n}": os.urandom(1_000_000) for n in range(6)}
    lines = "".join(f"COPY {name} /{name}\n" for name in files)
    context = ws.context({"Buildfile": f"FROM scratch\n{lines}", **files})
    ws.build(context, "-t", f"{host.host}/team/app:1", "--push")
    time.sleep(2.5)
    ws.build(context, "-t", f"{host.host}/team/app:1", "-t", f"{host.host}/team/again:2", "--push")
    expect(host_has(host, tokens, "team/again", "2"), "the second name is not there")
    tokens.stop()


def host_has(host, tokens, name, reference):
    token = tokens.token([f"repository:{name}:pull"])
    with host.request(f"/v2/{name}/manifests/{reference}", Authorization=f"Bearer {token}", Accept=registry.MANIFESTS) as answer:
        return answer.status == 200


def test_login(ws):
    """login keeps what the registry accepted, with mode 0600, beside what else is in the file; logout takes it out."""
    host = registry.Registry(ws, users={USER: CANARY})
    path = ws.write("home/.docker/config.json", json.dumps({"auths": {"other": {"auth": "dTpw"}}, "proxies": {"x": 1}}))
    login = ["sh", "-c", f'printf "%s\\n" "$SECRET" | "$0" login -u {USER} --password-stdin {host.host}', binary()]
    err = ws.run(*login, env={"SECRET": "wrong"}, code=10).err
    contains(err, "401")
    equal(json.loads(path.read_text())["auths"].keys(), {"other"}, "the file after a refused login")
    done = ws.run(*login, env={"SECRET": CANARY})
    contains(done.out, host.host, str(path))
    lacks(done.out + done.err, CANARY)
    kept = json.loads(path.read_text())
    equal(base64.b64decode(kept["auths"][host.host]["auth"]).decode(), f"{USER}:{CANARY}", "what is kept")
    equal((kept["auths"]["other"], kept["proxies"]), ({"auth": "dTpw"}, {"x": 1}), "what was there")
    equal(stat.S_IMODE(path.stat().st_mode), 0o600, "the mode")
    round_trip(ws, host.host)
    contains(ws.imgbuild("logout", host.host).out, "logged out")
    equal(json.loads(path.read_text())["auths"], {"other": {"auth": "dTpw"}}, "the file after logout")
    contains(ws.imgbuild("logout", host.host).out, "no credentials")


def binary():
    import workspace
    return workspace.binary()


def test_login_refusals(ws):
    """A password on the command line is refused, and so is a login without anybody to ask."""
    err = ws.imgbuild("login", "-u", "me", "-p", CANARY, "127.0.0.1:1", code=2).err
    contains(err, "--password-stdin")
    lacks(err, CANARY)
    contains(ws.imgbuild("login", "127.0.0.1:1", code=2).err, "--password-stdin")
    contains(ws.imgbuild("login", "-u", "me", "--password-stdin", "127.0.0.1:1/team", code=2).err, "registries")


def test_login_with_helper(ws):
    """With credsStore, login gives the credentials to the helper and the file has none."""
    host = registry.Registry(ws, users={USER: CANARY})
    path = ws.write("home/.docker/config.json", json.dumps({"credsStore": "e2e"}))
    ws.write("bin/docker-credential-e2e", f"""#!/bin/sh
case $1 in
    store) cat > {ws.path}/kept ;;
    get) cat > /dev/null; cat {ws.path}/kept 2>/dev/null || {{ echo "credentials not found in native keychain"; exit 1; }} ;;
    erase) rm {ws.path}/kept ;;
esac
""", 0o755)
    env = {"PATH": f"{ws.path}/bin:{os.environ['PATH']}", "SECRET": CANARY}
    ws.run("sh", "-c", f'echo "$SECRET" | "$0" login -u {USER} --password-stdin {host.host}', binary(), env=env)
    lacks(path.read_text(), CANARY, base64.b64encode(f"{USER}:{CANARY}".encode()).decode())
    round_trip(ws, host.host, env=env)
    ws.imgbuild("logout", host.host, env=env)
    expect(not (ws.path / "kept").exists(), "the helper still has it")


class CommandLines:
    """Watches the command lines of all processes while something runs."""

    def __init__(self):
        self.seen, self._stop = set(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self._stop.is_set():
            for pid in os.listdir("/proc"):
                if pid.isdigit():
                    self.seen.add(machine.command_line(pid))
            time.sleep(0.002)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join()


def test_canary(ws):
    """The password is in no output, no file of the store, no archive, and on no command line; nor is its base64."""
    tokens = token_server.TokenServer(certificates.Authority(ws), user=USER, password=CANARY)
    host = registry.Registry(ws, tokens=tokens)
    basic = registry.Registry(ws, users={USER: CANARY})
    auth = base64.b64encode(f"{USER}:{CANARY}".encode()).decode()
    ws.write("home/.docker/config.json", json.dumps({"auths": {
        host.host: {"auth": auth}, basic.host: {"auth": auth}, "127.0.0.1:1": {"auth": auth}}}), 0o600)
    said = []
    with CommandLines() as lines:
        for target in (host.host, basic.host):
            for progress in ("plain", "json"):
                said.append(ws.build(sealed(ws), "-t", f"{target}/team/app:1", "--push", "--progress", progress, "--no-cache",
                                     "-o", "type=oci,dest=out.tar"))
            context = ws.context({"Buildfile": f"FROM {target}/team/app:1\nCOPY x /x\n", "x": target}, name="next")
            said.append(ws.imgbuild("build", "--pull", context))
            missing = ws.context({"Buildfile": f"FROM {target}/team/none:1\n"}, name="missing")
            said.append(ws.imgbuild("build", missing, code=10))
        tokens.password = "changed"
        said.append(ws.imgbuild("push", f"{host.host}/team/app:1", f"{host.host}/team/new:1", code=10))
        said.append(ws.imgbuild("push", f"{host.host}/team/app:1", "127.0.0.1:1/team/new:1", code=10))
    secrets = [CANARY, auth, base64.b64encode(CANARY.encode()).decode()]
    for result in said:
        lacks(result.out + result.err, *secrets)
    lacks("\n".join(lines.seen), *secrets)
    for path in [*ws.root.rglob("*"), *ws.path.glob("*.tar")]:
        if path.is_file():
            content = path.read_bytes()
            for secret in secrets:
                expect(secret.encode() not in content, f"{secret!r} is in {path}")
    expect(len(lines.seen) > 10, "the command lines were not watched")
    tokens.stop()
