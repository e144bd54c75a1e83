"""What imgbuild says to bad inputs, word for word: files, registries, configurations, the command line."""
import base64
import json
import os
import re

import registry
import workspace
from expect import Failure, equal, expect
from schema import validate

GOLDENS = workspace.TOP / "testdata" / "messages"
SCHEMA = json.loads((workspace.TOP / "docs" / "schemas" / "error.json").read_text())
QUICK = ("--retry", "0")


def normal(ws, text, ports=()):
    for port in ports:
        text = text.replace(str(port), "$PORT")
    text = re.sub(r"after \d+ ms", "after … ms", text.replace(str(ws.path), "$WS"))
    text = re.sub(r"DONE \d+\.\ds", "DONE …s", text)  # a busy machine takes its time
    return re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", text)


def check(ws, name, *arguments, env=None, ports=(), cwd=None):
    """The golden of that name; and the same error as JSON is what the schema says."""
    done = ws.imgbuild(*arguments, code=None, env=env, cwd=cwd)
    expect(done.code != 0, f"{name}: accepted\n{done.story()}")
    equal(done.out, "", f"{name}: stdout")
    told = f"exit {done.code}\n{normal(ws, done.err, ports)}"
    path = GOLDENS / f"{name}.txt"
    if os.environ.get("IMGBUILD_ACCEPT") == "1":
        path.write_text(told)
        raise Failure(f"golden rewritten: {path}")
    if not path.exists() or path.read_text() != told:
        raise Failure(f"{name}: not what {path} has; it said:\n{told}")
    last = ws.imgbuild("--error-format", "json", *arguments, code=done.code, env=env, cwd=cwd).err.splitlines()[-1]
    error = json.loads(last)
    validate(error, SCHEMA)
    equal(error["error"]["exit_code"], done.code, f"{name}: the exit code in JSON")


def check_all(ws, rows):
    wrong = []
    for name, arguments, more in rows:
        try:
            check(ws, name, *arguments, **more)
        except Failure as failure:
            wrong.append(str(failure))
    expect(not wrong, "\n".join(wrong))


def build(ws, name, text, files=None, *arguments):
    context = ws.context({**(files or {}), "Buildfile": text}, name=name)
    return (name, ["build", "--progress", "plain", *QUICK, *arguments, context.name], {})


def test_build_files(ws):
    """Mistakes in a build file, alone and several at once."""
    check_all(ws, [
        build(ws, "unknown-instruction", "FROM scratch\nCOPPY a /\n"),
        build(ws, "several-mistakes", "FROM scratch\nCOPPY a /\nCOPY --chwon=1 a /\nRUM x\n"),
        build(ws, "no-from", "RUN x\n"),
        build(ws, "empty-file", ""),
        build(ws, "unclosed-heredoc", "FROM scratch\nCOPY <<E /a\nx\n"),
        build(ws, "missing-file", "FROM scratch\nCOPY main.c /\n", {"main.cc": ""}),
        build(ws, "unknown-target", "FROM scratch AS app\n", None, "--target", "ap"),
        build(ws, "required-variable", "FROM scratch\nENV A=\"${B:?set B}\"\n"),
    ])


def test_command_lines(ws):
    """Mistakes on the command line."""
    ws.context({"Buildfile": "FROM scratch\n"}, name="good")
    check_all(ws, [
        ("no-context", ["build", "nowhere"], {}),
        ("unknown-option", ["build", "--no-such-option", "good"], {}),
        ("unknown-command-option", ["images", "--jsn"], {}),
        ("bad-output-type", ["build", "-o", "type=docker", "good"], {}),
        ("push-without-name", ["build", "--push", "good"], {}),
        ("bad-reference", ["build", "-t", "Upper/Case", "good"], {}),
        ("bad-platform", ["build", "--platform", "linux/amd64/v2/x", "good"], {}),
        ("bad-epoch", ["build", "--source-date-epoch", "yesterday", "good"], {}),
        ("no-such-image", ["push", "nothing:1"], {}),
        ("bad-place", ["copy", "app:1", "oci:x"], {}),
        ("password-on-command-line", ["login", "-u", "me", "-p", "hunter2", "registry.example"], {}),
        ("bad-retry", ["build", "--retry", "many", "good"], {}),
    ])


def test_registries(ws):
    """Registries that are not there, do not have it, or do not let us."""
    host = registry.Registry(ws)
    guarded = registry.Registry(ws, users={"me": "secret"})
    port = registry.free_port()
    ports = (host.port, guarded.port, port)
    auth = base64.b64encode(b"me:wrong").decode()
    ws.write("wrong.json", json.dumps({"auths": {guarded.host: {"auth": auth}}}))
    pushed = ws.context({"Buildfile": "FROM scratch\nCOPY x /x\n", "x": "x"}, name="pushed")
    ws.build(pushed, "-t", f"{host.host}/app:1", "--push")
    ws.imgbuild("tag", f"{host.host}/app:1", "app:1")
    rows = [
        build(ws, "no-registry", f"FROM 127.0.0.1:{port}/app:1\n"),
        build(ws, "unknown-host", "FROM registry.invalid/app:1\n"),
        build(ws, "no-such-tag", f"FROM {host.host}/app:2\n"),
        build(ws, "no-such-repository", f"FROM {host.host}/none:1\n"),
        build(ws, "no-credentials", f"FROM {guarded.host}/app:1\n"),
        build(ws, "wrong-credentials", f"FROM {guarded.host}/app:1\n", None, "--authfile", "wrong.json"),
        ("push-without-credentials", ["push", *QUICK, "app:1", f"{guarded.host}/app:1"], {}),
    ]
    check_all(ws, [(name, arguments, {"ports": ports}) for name, arguments, _ in rows])


def test_configurations(ws):
    """Files of credentials and certificates, layouts and archives that are not what they must be."""
    guarded = registry.Registry(ws, users={"me": "secret"})
    ws.write("broken.json", "{\"auths\": ")
    ws.write("no-base64.json", json.dumps({"auths": {guarded.host: {"auth": "§"}}}))
    ws.write("helper.json", json.dumps({"credHelpers": {guarded.host: "none-such"}}))
    ws.write("layout/oci-layout", "{\"imageLayoutVersion\": \"2.0.0\"}")
    ws.write("garbage.tar", "x" * 2000)
    from_guarded = build(ws, "from-guarded", f"FROM {guarded.host}/app:1\n")[1]
    rows = [
        ("auth-file-broken", [*from_guarded, "--authfile", "broken.json"], {}),
        ("auth-file-not-base64", [*from_guarded, "--authfile", "no-base64.json"], {}),
        ("auth-file-missing", [*from_guarded, "--authfile", "none.json"], {}),
        ("helper-missing", [*from_guarded, "--authfile", "helper.json"], {}),
        ("cert-dir-missing", [*from_guarded, "--cert-dir", "none"], {}),
        ("layout-too-new", ["copy", "oci:layout", "store:x:1"], {}),
        ("archive-garbage", ["copy", "docker-archive:garbage.tar", "store:x:1"], {}),
    ]
    check_all(ws, [(name, arguments, {"ports": (guarded.port,)}) for name, arguments, _ in rows])


def test_machine(ws):
    """A store that cannot be made, a context that cannot be read."""
    ws.context({"Buildfile": "FROM scratch\nCOPY x /x\n", "x": "x"}, name="good")
    ws.write("file", "")
    check_all(ws, [
        ("store-below-a-file", ["--root", "file/store", "build", "good"], {}),
        ("archive-into-nowhere", ["build", "--progress", "plain", "-o", "type=oci,dest=none/x.tar", "good"], {}),
        ("full-disk", ["build", "--progress", "plain", "-o", "type=oci,dest=/dev/full", "good"], {}),
    ])
