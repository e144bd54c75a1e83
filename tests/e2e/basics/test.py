"""What each instruction and flag does to the image, and what the small commands print."""
import json
import re

import oci
import workspace
from expect import contains, equal, expect, lacks, matches


def test_config(ws):
    """Every instruction that only describes the image lands in its config."""
    context = ws.context({"Buildfile": """\
FROM busybox
ARG VERSION=1
ENV A=1 B="two words"
ENV C=${A}${VERSION:-none} PATH=/opt/bin:$PATH
LABEL org.example.version=$VERSION org.example.words="a b"
USER builder:staff
WORKDIR /srv
WORKDIR app
EXPOSE 80 53/udp
VOLUME /data /more
STOPSIGNAL SIGUSR1
SHELL ["/bin/sh", "-eu", "-c"]
HEALTHCHECK --interval=30s --retries=3 CMD ["/bin/true"]
ENTRYPOINT ["/bin/echo", "hello"]
CMD ["world"]
"""})
    got = ws.build_image(context, "--build-arg", "VERSION=2", "--label", "org.example.more=x").settings
    env = dict(pair.split("=", 1) for pair in got["Env"])
    equal({key: env.get(key) for key in "ABC"}, {"A": "1", "B": "two words", "C": "12"}, "Env")
    expect(env["PATH"].startswith("/opt/bin:/usr/local/sbin:"), f"PATH is {env['PATH']}")
    expect("VERSION" not in env, "an ARG is no part of the image")
    equal(got["Labels"], {"org.example.version": "2", "org.example.words": "a b", "org.example.more": "x"}, "Labels")
    equal(got["User"], "builder:staff", "User")
    equal(got["WorkingDir"], "/srv/app", "WorkingDir")
    equal(sorted(got["ExposedPorts"]), ["53/udp", "80/tcp"], "ExposedPorts")
    equal(sorted(got["Volumes"]), ["/data", "/more"], "Volumes")
    equal(got["StopSignal"], "SIGUSR1", "StopSignal")
    equal(got["Shell"], ["/bin/sh", "-eu", "-c"], "Shell")
    equal(got["Healthcheck"], {"Test": ["CMD", "/bin/true"], "Interval": 30 * 10**9, "Retries": 3}, "Healthcheck")
    equal((got["Entrypoint"], got["Cmd"]), (["/bin/echo", "hello"], ["world"]), "Entrypoint and Cmd")


def test_run(ws):
    """RUN obeys ENV, ARG, USER, WORKDIR and SHELL; the exec form runs without a shell."""
    context = ws.context({"Buildfile": """\
FROM busybox
ARG WHO=nobody
ENV GREETING=hello
WORKDIR /tmp
USER builder
RUN echo "$GREETING $WHO $(id -u):$(id -g) $PWD" > shell.txt
SHELL ["/bin/sh", "-c", "echo from-shell: \\"$0\\" > /tmp/own-shell.txt"]
RUN one two
RUN ["/bin/touch", "$GREETING"]
"""})
    image = ws.build_image(context, "--build-arg", "WHO=me")
    equal(image.read("tmp/shell.txt"), b"hello me 1000:1001 /tmp\n", "what the step saw")
    equal(image.read("tmp/own-shell.txt"), b"from-shell: one two\n", "what the own shell saw")
    expect("tmp/$GREETING" in image.tree(), "the exec form expanded a variable")
    equal(image.tree()["tmp/shell.txt"].owner, (1000, 1001), "the owner of the step's file")


def test_sandbox_leaves_nothing(ws):
    """What the sandbox mounts into a step is no part of the layer."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN cat /etc/resolv.conf /etc/hosts >/dev/null && echo x > /new\n"})
    image = ws.build_image(context)
    equal(sorted(image.layer_tree(1)), ["new"], "the layer of the step")


def test_copy_owner_and_mode(ws):
    """COPY keeps modes and gives files to root, unless --chown (names of the image) and --chmod say otherwise."""
    context = ws.context({"plain": ("x", 0o640), "run.sh": ("#!/bin/sh\n", 0o755), "Buildfile": """\
FROM busybox
COPY plain run.sh /as-is/
COPY --chown=builder:staff plain /by-name
COPY --chown=7 plain /by-number
COPY --chmod=0711 plain /moded
"""})
    tree = ws.build_image(context).tree()
    equal((tree["as-is/plain"].mode, tree["as-is/plain"].owner), (0o640, (0, 0)), "as-is/plain")
    equal(tree["as-is/run.sh"].mode, 0o755, "as-is/run.sh")
    equal(tree["by-name"].owner, (1000, 50), "by-name")
    equal(tree["by-number"].owner, (7, 7), "by-number")
    equal(tree["moded"].mode, 0o711, "moded")


def test_copy_shapes(ws):
    """COPY of a directory copies its contents; wildcards match; missing parents of the destination are made."""
    context = ws.context({"d/a": "a", "d/sub/b": "b", "x1.txt": "1", "x2.txt": "2", "Buildfile": """\
FROM scratch
COPY d /new/place
COPY x*.txt /texts/
COPY x1.txt /renamed
WORKDIR /rel
COPY x1.txt .
"""})
    tree = ws.build_image(context).tree()
    for path in ("new/place/a", "new/place/sub/b", "texts/x1.txt", "texts/x2.txt", "renamed", "rel/x1.txt"):
        expect(path in tree, f"{path} is missing in {sorted(tree)}")
    equal((tree["new"].mode, tree["new"].owner), (0o755, (0, 0)), "a made parent")


def test_copy_from(ws):
    """COPY --from takes files of a stage by name or number, and of a named context, with modes and links."""
    other = ws.context({"note": "from outside"}, name="other")
    context = ws.context({"Buildfile": """\
FROM busybox AS made
RUN mkdir -p /out/d && echo x > /out/d/file && chmod 600 /out/d/file && ln -s file /out/d/link
FROM scratch
COPY --from=made /out /a
COPY --from=0 /out/d/file /b
COPY --from=other note /c
"""})
    tree = ws.build_image(context, "--build-context", f"other={other}").tree()
    equal((tree["a/d/file"].mode, tree["a/d/link"].content), (0o600, "file"), "what was copied")
    expect("b" in tree and "c" in tree, f"only {sorted(tree)}")
    expect("bin" not in tree, "the other stage's base is in the image")


def test_add_tar(ws):
    """ADD unpacks a tar of the context, compressed or not; COPY leaves it alone."""
    ws.write("context/pack/inside", "x")
    ws.run("tar", "-czf", ws.path / "context/pack.tar.gz", "-C", ws.path / "context/pack", "inside")
    context = ws.context({"Buildfile": "FROM scratch\nADD pack.tar.gz /added/\nCOPY pack.tar.gz /copied/\n"})
    tree = ws.build_image(context).tree()
    expect("added/inside" in tree and "added/pack.tar.gz" not in tree, f"ADD made {sorted(tree)}")
    expect("copied/pack.tar.gz" in tree, f"COPY made {sorted(tree)}")


def test_ignore_file(ws):
    """.dockerignore hides files from COPY; an exception brings one back."""
    context = ws.context({".dockerignore": "# comment\n*.log\n!keep.log\nsecret\n**/deep.tmp\n", "a.txt": "", "b.log": "",
                          "keep.log": "", "secret/key": "", "x/y/deep.tmp": "", "x/y/z": "",
                          "Buildfile": "FROM scratch\nCOPY . /\n"})
    tree = ws.build_image(context).tree()
    files = {path for path, node in tree.items() if node.type == "file"}
    equal(files, {".dockerignore", "Buildfile", "a.txt", "keep.log", "x/y/z"}, "what was copied")


def test_heredocs(ws):
    """Heredocs are scripts for RUN and files for COPY; only an unquoted COPY body expands variables."""
    context = ws.context({"Buildfile": """\
FROM busybox
ENV WHO=me
RUN <<EOF
echo "first $WHO" > /ran
echo second >> /ran
EOF
COPY <<plain <<"quoted" /files/
for $WHO
plain
for $WHO
quoted
"""})
    image = ws.build_image(context)
    equal(image.read("ran"), b"first me\nsecond\n", "what the script wrote")
    equal((image.read("files/plain"), image.read("files/quoted")), (b"for me\n", b"for $WHO\n"), "the files")


def test_onbuild(ws):
    """ONBUILD is kept in the image, runs in a build on top of it, and is then gone."""
    base = ws.context({"Buildfile": "FROM busybox\nONBUILD COPY name /name\nONBUILD RUN cat /name > /ran\n"}, name="base")
    ws.build(base, "-o", "type=oci,dest=base.dir,tar=false")
    equal(oci.load(ws.path / "base.dir").settings["OnBuild"], ["COPY name /name", "RUN cat /name > /ran"], "OnBuild")
    context = ws.context({"Buildfile": "FROM trigger\n", "name": "downstream"})
    image = ws.build_image(context, "--build-context", f"trigger=oci-layout://{ws.path}/base.dir")
    equal(image.read("ran"), b"downstream", "what the trigger ran")
    expect(not image.settings.get("OnBuild"), "the triggers are inherited")


def test_no_network(ws):
    """RUN --network=none has the loopback and nothing else."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN --network=none tail -n +3 /proc/net/dev | cut -d: -f1 > /net\n"})
    equal(ws.build_image(context).read("net").split(), [b"lo"], "the interfaces")


def test_copy_exclude(ws):
    """COPY --exclude leaves files out; --chmod takes symbols."""
    context = ws.context({"d/a.txt": "", "d/b.log": "", "d/run": ("", 0o644), "Buildfile": """\
FROM scratch
COPY --exclude=*.log d /d
COPY --chmod=u+x,go-r d/run /run
"""})
    tree = ws.build_image(context).tree()
    equal(sorted(path for path in tree if path.startswith("d/")), ["d/a.txt", "d/run"], "what was copied")
    equal(tree["run"].mode, 0o700, "the mode")


def test_unneeded_stage(ws):
    """A stage that the target does not need is not run; --target stops at a stage."""
    context = ws.context({"Buildfile": """\
FROM busybox AS wanted
RUN echo wanted > /who
FROM busybox AS broken
RUN exit 9
FROM wanted AS last
RUN echo last > /who
"""})
    equal(ws.build_image(context).read("who"), b"last\n", "the last stage")
    equal(ws.build_image(context, "--target", "wanted").read("who"), b"wanted\n", "the target")
    expect(ws.build(context, "--target", "broken", code=None).code == 1, "the broken stage is built when it is wanted")


def test_global_arg(ws):
    """An ARG before the first FROM chooses the base, and is a stage's only after being declared again."""
    context = ws.context({"Buildfile": """\
ARG BASE=scratch
ARG NAME=global
FROM ${BASE}
RUN echo "[$NAME]" > /before
ARG NAME
RUN echo "[$NAME]" > /after
"""})
    image = ws.build_image(context, "--build-arg", "BASE=busybox")
    equal((image.read("before"), image.read("after")), (b"[]\n", b"[global]\n"), "what the steps saw")


def test_find_build_file(ws):
    """Without -f, Buildfile is looked for first, then Dockerfile, Containerfile and dockerfile; no word is `build`."""
    context = ws.context({name: f"FROM scratch\nLABEL name={name}\n"
                          for name in ("Buildfile", "Dockerfile", "Containerfile", "dockerfile")})
    for name in ("Buildfile", "Dockerfile", "Containerfile", "dockerfile"):
        archive = ws.path / f"{name}.tar"
        ws.imgbuild("-o", f"type=oci,dest={archive}", context)
        equal(oci.load(archive).settings["Labels"], {"name": name}, "the file that was used")
        (context / name).unlink()


def test_outputs(ws):
    """One build can write an archive and a layout directory, both with the same image; nothing else appears."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo x > /x\n"})
    done = ws.build(context, "-o", "type=oci,dest=out.tar", "-o", "type=oci,dest=out.dir,tar=false", "-t", "app:1")
    equal(oci.load(ws.path / "out.tar").digest, oci.load(ws.path / "out.dir").digest, "the manifest's digest")
    matches(done.out, r"\Asha256:[0-9a-f]{64}\n\Z")
    equal(sorted(path.name for path in ws.path.iterdir()), ["context", "home", "out.dir", "out.tar", "store"], "the files")


def test_iidfile_and_quiet(ws):
    """The image's id goes to stdout and to --iidfile; with -q nothing else is said."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo noise\n"})
    done = ws.imgbuild("build", "-q", "--iidfile", "id.txt", "--build-context", f"busybox={ws.busybox()}", "-t", "q:1",
                       context)
    matches(done.out, r"\Asha256:[0-9a-f]{64}\n\Z")
    equal((ws.path / "id.txt").read_text().strip(), done.out.strip(), "the two ids")
    equal(done.err, "", "stderr with -q")


def test_store_commands(ws):
    """images, inspect, tag and export speak of what build left in the store."""
    context = ws.context({"Buildfile": "FROM busybox\nLABEL a=b\nCMD [\"/bin/true\"]\n"})
    image_id = ws.imgbuild("build", "-q", "--build-context", f"busybox={ws.busybox()}", "-t", "app:1", context).out.strip()
    contains(ws.imgbuild("images").out, "app", "1", image_id.removeprefix("sha256:")[:12])
    listed = json.dumps(ws.imgbuild("images", "--json").json())
    contains(listed, image_id)
    contains(json.dumps(ws.imgbuild("inspect", "app:1").json()), image_id, '"a": "b"')
    ws.imgbuild("tag", "app:1", "other:2")
    contains(ws.imgbuild("images").out, "other")
    ws.imgbuild("export", "other:2", "-o", "type=oci,dest=out.tar")
    equal(oci.load(ws.path / "out.tar").id, image_id, "the exported image")


def test_image_runs(ws):
    """`run` starts the image's command, or the given one, in the sandbox and ends as it ends."""
    context = ws.context({"Buildfile": 'FROM busybox\nENV WHO=you\nCMD ["/bin/sh", "-c", "echo hello $WHO"]\n'})
    ws.build(context, "-t", "greet:1")
    equal(ws.imgbuild("run", "greet:1").out, "hello you\n", "what it printed")
    equal(ws.imgbuild("run", "greet:1", "/bin/echo", "other", code=0).out, "other\n", "what the given command printed")
    ws.imgbuild("run", "greet:1", "/bin/sh", "-c", "exit 7", code=7)


def test_version(ws):
    """version prints the release."""
    matches(ws.imgbuild("version").out, r"\d+\.\d+\.\d+")
    matches(ws.imgbuild("--version").out, r"\d+\.\d+\.\d+")


def test_graph(ws):
    """debug graph prints the plan as JSON or DOT, and runs nothing."""
    context = ws.context({"Buildfile": "FROM busybox AS a\nRUN exit 1\nFROM scratch\nCOPY --from=a /x /y\n"})
    graph = ws.imgbuild("debug", "graph", "--format", "json", "--build-context", f"busybox={ws.busybox()}", context).json()
    contains(json.dumps(graph), "exit 1")
    dot = ws.imgbuild("debug", "graph", "--format", "dot", "--build-context", f"busybox={ws.busybox()}", context).out
    matches(dot, r"\Adigraph\b")
    expect(dot.count("->") >= 2, f"too few edges:\n{dot}")


def test_plain_progress(ws):
    """Plain progress numbers each step, shows its instruction, its output and its time, all on stderr."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo the-output && echo on-stderr >&2\n"})
    err = ws.build(context).err
    number = matches(err, r"^#(\d+) \[[^]]*2/2\] RUN echo the-output").group(1)
    matches(err, rf"^#{number} \d+\.\d+ the-output$")
    matches(err, rf"^#{number} \d+\.\d+ on-stderr$")
    matches(err, rf"^#{number} DONE \d+\.\d+s$")


def test_json_progress(ws):
    """JSON progress is one object a line, and says of every step whether it was cached."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN echo hi\n"})
    for cached in (False, True):
        err = ws.imgbuild("build", "--progress", "json", "--build-context", f"busybox={ws.busybox()}", context).err
        events = [json.loads(line) for line in err.splitlines()]
        steps = [event.get("step", event) for event in events]
        mine = [step for step in steps if step.get("instruction") == "RUN echo hi" and "cached" in step]
        expect(mine and mine[-1]["cached"] is cached, f"the step's events are {mine}")


def test_parallel_builds_share_a_store(ws):
    """Two builds at once in one store both succeed and agree."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN sleep 1 && echo x > /x\n"})
    first = ws.start(workspace.binary(), "build", "-q", "--build-context", f"busybox={ws.busybox()}", context)
    second = ws.imgbuild("build", "-q", "--build-context", f"busybox={ws.busybox()}", context)
    equal(first.wait(timeout=60), 0, "the first build's exit code")
    contains(first.log.read_text(), second.out.strip())


def test_layers_are_clean_tars(ws):
    """A layer holds what its step changed and nothing else: no owner names, no store attributes, sorted names."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN rm -r /home && mkdir /home && echo x > /home/x && rm /etc/group\n"})
    image = ws.build_image(context)
    names = sorted(image.layer_tree(1))
    expect("home/x" in names and "etc/.wh.group" in names, f"the layer has {names}")
    lacks(" ".join(names), "dev", "proc", "resolv.conf")
    for node in image.layer_tree(1).values():
        expect(not any(re.match(r"(user|trusted)\.overlay", name) for name in node.xattrs), f"leaked: {node.xattrs}")
    tree = image.tree()
    expect("etc/group" not in tree and "etc/passwd" in tree, "the removal")


def test_foreign_options(ws):
    """Options of other builders are taken if they are harmless, and otherwise refused with what to do instead."""
    context = ws.context({"Buildfile": "FROM scratch\nCOPY <<E /f\nE\n"})
    ws.build(context, "--rm", "--force-rm", "--compress", "--load", "--provenance=false", "--sbom=false", "--rewrite-timestamp")
    for option, hint in (("--provenance=mode=max", "attestations"), ("--sbom", "attestations"), ("--builder=b", "builders"),
                         ("--cache-to=type=inline", "IMGBUILD_ROOT"), ("--memory=1g", "control group"),
                         ("--security-opt=x", "sandbox"), ("--timestamp=1", "--source-date-epoch")):
        contains(ws.build(context, option, code=2).err, option.partition("=")[0], hint)


def test_no_cache_filter(ws):
    """--no-cache-filter runs the steps of these stages again, and no others."""
    context = ws.context({"Buildfile": """\
FROM busybox AS one
RUN echo in-one > /one
FROM busybox AS two
RUN echo in-two > /two
FROM scratch
COPY --from=one /one /
COPY --from=two /two /
"""})
    ws.build(context)
    err = ws.build(context, "--no-cache-filter", "two").err
    for stage, cached in (("one", True), ("two", False)):
        number = matches(err, rf"^(#\d+) \[{stage} .*RUN echo in-{stage}")[1]
        told = "\n".join(line for line in err.splitlines() if line.startswith(f"{number} "))
        (contains if cached else lacks)(told, "CACHED")
    contains(ws.build(context, "--no-cache-filter", "three", code=2).err, "'three'")
