"""Differences from a real peer: Debian's buildah builds the same files; trees and configs are compared.

Each difference is a bug of ours and gets fixed, or it is in KNOWN with its SPEC ID and in the table of
docs/dockerfile.md. IMGBUILD_DIFF_SEED and IMGBUILD_DIFF_COUNT choose other build files.
"""
import gzip
import io
import json
import os
import pathlib
import re
import sys
import tarfile

import grammar
import machine
import oci
import trees
import workspace
from expect import Failure, NoData, expect

SEED = int(os.environ.get("IMGBUILD_DIFF_SEED", "20261125"))
COUNT = int(os.environ.get("IMGBUILD_DIFF_COUNT", "64"))
DATA = pathlib.Path(os.environ.get("IMGBUILD_CONFORMANCE", workspace.TOP.parent / "shared" / "conformance"))
# What buildah binds or makes in the root of a step, and we do not keep.
NOT_COMPARED = ("dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf", "run")


class Buildah:
    """buildah with a storage of its own below the workspace."""

    def __init__(self, ws):
        machine.need("buildah")
        machine.need_root()
        self.ws = ws
        self.storage = ["--root", ws.path / "containers", "--runroot", ws.path / "run", "--storage-driver", os.environ.get("IMGBUILD_DIFF_DRIVER", "overlay")]
        (ws.path / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        pulled = self.run("pull", "--policy", "always", "oci:" + ws.busybox().removeprefix("oci-layout://"))
        self.run("tag", pulled.out.split()[-1], "localhost/busybox")

    def run(self, *arguments, **options):
        command = [str(word) for word in arguments]
        known = ["--signature-policy", self.ws.path / "policy.json"] if command[0] in ("pull", "build", "push") else []
        return self.ws.run("buildah", *self.storage, command[0], *known, *command[1:], **options)

    def build(self, context, file, name):
        """(tree, settings), or None if it refuses."""
        done = self.run("build", "--isolation", "chroot", "--format", "docker", "--identity-label=false", "--network", "host",
                        "--layers=false", "-f", file, "-t", f"localhost/{name}", context, code=None)
        if done.code != 0:
            return None
        out = self.ws.path / f"buildah-{name}"
        self.run("push", f"localhost/{name}", f"dir:{out}")  # in docker's format, so that nothing of the config is dropped
        manifest = json.loads((out / "manifest.json").read_text())
        config = json.loads((out / manifest["config"]["digest"].partition(":")[2]).read_text())
        tree = {}
        for layer in manifest["layers"]:
            with gzip.open(out / layer["digest"].partition(":")[2]) as stream:
                trees.apply_layer(tree, io.BytesIO(stream.read()))
        return tree, config["config"] | {"Author": config.get("author", "")}


def shape(tree):
    """Everything that counts: times differ on purpose (SPEC A12.03)."""
    for node in tree.values():
        node.mtime = 0
    return tree


def settings_of(config, author):
    """The parts of a config that a run obeys, in one spelling."""
    health = config.get("Healthcheck")
    return {"Env": sorted(config.get("Env") or []), "Cmd": config.get("Cmd") or [], "Entrypoint": config.get("Entrypoint") or [],
            "User": config.get("User") or "", "WorkingDir": config.get("WorkingDir") or "/",
            "Labels": config.get("Labels") or {}, "Volumes": sorted(config.get("Volumes") or {}),
            "ExposedPorts": sorted(config.get("ExposedPorts") or {}), "StopSignal": config.get("StopSignal") or "",
            "Healthcheck": {key: value for key, value in (health or {}).items() if value}, "Author": author}


# (SPEC ID, what differs, is it this?): a line of differences, the build file's text → bool. The table in
# docs/dockerfile.md has the same rows.
KNOWN = []


def known(spec, what):
    def add(predicate):
        KNOWN.append((spec, what, predicate))
        return predicate
    return add


@known("A5.14", "the group of a user that is a number")
def group_of_number(line, text):
    # buildah takes the group of the user that etc/passwd has under the number, BuildKit and we the same number.
    return (line.endswith(": owner is (1000, 1000) in the first, (1000, 1001) in the second") and
            re.search("--chown=1000 |^USER 1000$", text, re.M))


@known("A5.22", "directories of VOLUME")
def directory_of_volume(line, text):
    # buildah makes them in the image; for BuildKit and us VOLUME is a word of the config.
    made = re.fullmatch("(json|vol2?): only in the second .dir.", line)
    return made and "VOLUME" in text


@known("A7.03", "etc/hosts and the like, copied from a stage")
def bound_files(line, text):
    # buildah leaves empty files of its binds in the stage's root.
    return re.fullmatch(".*/(hosts|hostname|resolv.conf): only in the second .file.", line) and "COPY --from=" in text


@known("A5.16", "the mode of directories that COPY and ADD make")
def mode_of_made_directories(line, text):
    # --chmod counts for them with BuildKit and us.
    return ": mode is " in line and "--chmod=" in text and line.endswith("0o755 in the second")


# Cases of the conformance data that differ as a whole, with the SPEC ID: what BuildKit recorded is what we make.
KNOWN_CASES = {
    "bud-containerignore-Dockerfile.succeed": "A8.02",
    "bud-dockerignore-Dockerfile.succeed": "A8.02",
    "dockerignore-exclude-deep-subdir-dot_2": "A8.02",
    "dockerignore-exclude-kind-of-deep-subdir-star": "A8.02",
    # Directories that buildah makes in an empty root for its own binds.
    "bud-dest-final-slash-Dockerfile": "A7.03",
    "tar-g": "A7.03",
}


def compare(ours, theirs):
    """Lines that tell how two results differ."""
    lines = trees.differences(shape(ours[0]), shape(theirs[0]), ignore=("", *NOT_COMPARED))
    for key in ours[1]:
        if ours[1][key] != theirs[1][key]:
            lines.append(f"config {key}: {ours[1][key]!r} in the first, {theirs[1][key]!r} in the second")
    return lines


def explained(line, text):
    return next((spec for spec, _, predicate in KNOWN if predicate(line, text)), None)


def run_both(ws, buildah, context, file, name, *arguments):
    """Lines that nothing explains, and the SPEC IDs of the others; None if buildah refuses the file."""
    text = pathlib.Path(file).read_text(errors="replace")
    theirs = buildah.build(context, file, name)
    if theirs is None:
        return None
    archive = ws.path / f"ours-{name}.tar"
    done = ws.build(context, "-f", file, "-o", f"type=oci,dest={archive}", *arguments, code=None)
    if done.code != 0:
        return [f"we refuse it: {done.err.strip().splitlines()[-1] if done.err.strip() else done.code}"], set()
    image = oci.load(archive)
    archive.unlink()
    lines = compare((image.tree(), settings_of(image.settings, image.config.get("author", ""))),
                    (theirs[0], settings_of(theirs[1], theirs[1]["Author"])))
    reasons = {line: explained(line, text) for line in lines}
    return [line for line in lines if not reasons[line]], {reason for reason in reasons.values() if reason}


def packed(mode):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:
        for name, text, bits, owner in (("pack/x", b"x", 0o644, 0), ("pack/run", b"#!", 0o755, 1000)):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid, member.gid, member.mtime = len(text), bits, owner, owner, 1000
            tar.addfile(member, io.BytesIO(text))
    return stream.getvalue()


def test_grammar(ws):
    """Build files from a grammar: buildah and imgbuild make the same files and configs, but for what the table explains."""
    buildah, generator = Buildah(ws), grammar.Generator(SEED)
    print(f"       seed {SEED}, {COUNT} build files", flush=True)
    context = ws.context({**grammar.CONTEXT, "pack.tar": packed("w"), "pack.tgz": packed("w:gz")})
    both, refused, reasons, failures = 0, 0, {}, []
    for number in range(COUNT * 3):
        if both == COUNT:
            break
        file = ws.write(f"files/{number}", generator.build_file())
        result = run_both(ws, buildah, context, file, f"n{number}")
        if result is None:
            refused += 1
            continue
        both += 1
        for reason in result[1]:
            reasons[reason] = reasons.get(reason, 0) + 1
        if result[0]:
            failures.append(f"file {number} of seed {SEED}:\n{file.read_text()}" + "\n".join(f"  {line}" for line in result[0][:6]))
    print(f"       {both} compared, {refused} refused by buildah, explained: {reasons}", flush=True)
    expect(both >= COUNT, f"only {both} build files that buildah takes")
    if failures:
        raise Failure(f"{len(failures)} of {both} differ\n" + "\n".join(failures[:8]))


def test_conformance_cases(ws):
    """The peers' build cases that buildah supports come out alike as well."""
    runner = DATA / "runner"
    if not runner.is_dir():
        raise NoData(f"there is no {runner}")
    sys.path.insert(0, str(runner))
    import fixtures
    buildah = Buildah(ws)
    compared, failures, reasons = 0, [], {}
    for folder in sorted((DATA / "08-build-buildah").glob("*/*"))[::3]:
        case = json.loads((folder / "case.json").read_text())
        expected = json.loads((folder / "expect.json").read_text())
        text = (folder / "Dockerfile").read_bytes()
        if not expected["ok"] or set(case) & {"target", "platform", "build_args", "labels", "secrets", "named_contexts",
                                              "dockerfile_dir"} or re.search(rb"--mount|<<|--parents|--link|--exclude|--chmod=[^0-7]", text):
            continue
        if expected.get("volatile_content"):
            continue
        name = re.sub("[^a-z0-9]", "", folder.name.lower())[:40]
        context = ws.path / f"case-{name}"
        fixtures.materialize(case.get("context", []), str(context), 1600000000)
        file = ws.path / f"file-{name}"
        file.write_bytes(text)
        result = run_both(ws, buildah, context, file, name)
        if result is None:
            continue
        compared += 1
        for reason in result[1]:
            reasons[reason] = reasons.get(reason, 0) + 1
        if result[0] and folder.name in KNOWN_CASES:
            reasons[KNOWN_CASES[folder.name]] = reasons.get(KNOWN_CASES[folder.name], 0) + 1
        elif result[0]:
            failures.append(f"{folder.name}:\n" + "\n".join(f"  {line}" for line in result[0][:6]))
    print(f"       {compared} compared, explained: {reasons}", flush=True)
    expect(compared >= 15, f"only {compared} cases that buildah takes")
    if failures:
        raise Failure(f"{len(failures)} of {compared} differ\n" + "\n".join(failures[:12]))
