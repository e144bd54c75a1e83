"""RUN --mount and what else a step can be given: caches, files of stages and contexts, secrets, ssh agents, limits."""
import os
import pathlib
import re
import subprocess
import tarfile

import machine
import oci
import workspace
from expect import contains, equal, expect, lacks, matches

CANARY = f"canary-{os.getpid()}-{os.urandom(12).hex()}"


def everything_below(path):
    """(name, bytes) of every regular file."""
    for directory, _, names in os.walk(path):
        for name in names:
            file = pathlib.Path(directory, name)
            if file.is_file() and not file.is_symlink():
                yield str(file), file.read_bytes()


def command_lines():
    for process in pathlib.Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                yield process.name, (process / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended


# ------------------------------------------------------------ bind


def test_bind_context_and_stage(ws):
    """A directory and a file of the context, of a stage and of a named context are seen, and are no part of the layer."""
    other = ws.context({"n": "named\n"}, name="other")
    context = ws.context({"src/a": "one\n", "src/hidden.log": "x\n", ".dockerignore": "*.log\n**/*.log\n", "b": "two\n",
                          "star*": "pattern\n", "Buildfile": """\
FROM busybox AS made
RUN mkdir -p /out/deep && echo three > /out/deep/c && ln -s deep /out/link && chown -R 7:8 /out
FROM busybox
RUN --mount=target=/mnt/ctx,source=src --mount=type=bind,src=b,dst=/mnt/b \\
    --mount=from=made,source=/out/link,target=/mnt/stage --mount=from=other,target=/mnt/named \\
    --mount=source=star*,target=/mnt/star \\
    ls -A /mnt/ctx > /seen && cat /mnt/ctx/a /mnt/b /mnt/stage/c /mnt/named/n /mnt/star >> /seen && \\
    stat -c '%u:%g' /mnt/stage/c >> /seen
"""})
    image = ws.build_image(context, "--build-context", f"other={other}")
    equal(image.read("seen"), b"a\none\ntwo\nthree\nnamed\npattern\n7:8\n", "what the step saw")
    equal(sorted(image.layer_tree(image.layer_count() - 1)), ["seen"], "the step's layer")


def test_bind_read_only_and_discarded_writes(ws):
    """A bind mount is read-only; with rw the step may write, and nobody else ever sees it."""
    context = ws.context({"f": "file\n", "Buildfile": """\
FROM busybox AS base
RUN mkdir /d && echo old > /d/x
FROM base AS second
RUN --mount=from=base,source=/d,target=/m,rw echo new > /m/x && echo more > /m/y && cat /m/x > /first
RUN --mount=from=base,source=/d,target=/m ls /m > /second && cat /m/x >> /second
RUN --mount=target=/c,rw rm /c/f && ls /c > /third
RUN --mount=from=base,source=/d,target=/m if touch /m/z; then exit 1; fi
"""})
    image = ws.build_image(context)
    equal(image.read("first"), b"new\n", "what the writer saw")
    equal(image.read("second"), b"x\nold\n", "what the next step saw")
    equal(image.read("third"), b"Buildfile\n", "the context after a step removed a file in its view")
    expect((context / "f").exists(), "the user's file is still there")


def test_bind_key_is_the_named_path(ws):
    """Only what is mounted counts: another file of the context or of the stage changes nothing."""
    text = """\
FROM busybox AS made
COPY made /made
FROM busybox
RUN --mount=target=/m,source=in --mount=from=made,source=/made/in,target=/n cat /m/x /n/x > /seen
"""
    context = ws.context({"in/x": "1", "out": "1", "made/in/x": "1", "made/out": "1", "Buildfile": text})
    ws.build(context)
    for path, cached in (("out", True), ("made/out", True), ("in/x", False), ("made/in/x", False)):
        ws.write(f"context/{path}", "2")
        log = ws.build(context).err
        number = re.search(r"^#(\d+) \[.*RUN --mount", log, re.M).group(1)
        equal(bool(re.search(rf"^#{number} CACHED", log, re.M)), cached, f"cached after a change of {path}\n{log}")


def test_bind_source_is_missing(ws):
    """A source that is not there is told with the line."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN --mount=target=/m,source=nothing true\n"})
    contains(ws.build(context, code=11).err, "'nothing' not found", "Buildfile:2")
    context = ws.context({"Buildfile": "FROM busybox AS a\nFROM busybox\nRUN --mount=from=a,target=/m,source=no true\n"})
    contains(ws.build(context, code=11).err, "'/no' not found", "Buildfile:3")


def test_nested_mounts(ws):
    """A mount may lie inside another one, whatever their order and kind; nothing of it is in the layer."""
    context = ws.context({"d/f": "file\n", "Buildfile": """\
FROM busybox
RUN --mount=type=tmpfs,target=/a/b/c --mount=source=d,target=/a --mount=type=cache,target=/a/e \\
    --mount=type=secret,id=s,target=/a/b/s,required \\
    cat /a/f /a/b/s && touch /a/e/x /a/b/c/y && if touch /a/z; then exit 1; fi
"""})
    ws.write("s", "secret\n")
    image = ws.build_image(context, "--secret", f"id=s,src={ws.path}/s")
    equal(image.layer_tree(image.layer_count() - 1), {}, "the layer")


# ------------------------------------------------------------ cache


def test_cache_outlives_builds(ws):
    """A cache keeps its files between builds; id, owner and BUILDKIT_CACHE_MOUNT_NS tell caches apart."""
    context = ws.context({"Buildfile": """\
FROM busybox
ARG N
RUN --mount=type=cache,target=/c echo $N >> /c/log && cp /c/log /log
RUN --mount=type=cache,target=/c,uid=5,mode=0711 ls /c > /other && stat -c '%u:%g %a' /c >> /other
RUN --mount=type=cache,target=/elsewhere,id=/c,ro cat /elsewhere/log > /same
"""})
    ws.build(context, "--build-arg", "N=1")
    image = ws.build_image(context, "--build-arg", "N=2")
    equal(image.read("log"), b"1\n2\n", "the cache of two builds")
    equal(image.read("other"), b"5:0 711\n", "a cache of another owner")
    equal(image.read("same"), b"1\n2\n", "the same id at another place")
    image = ws.build_image(context, "--build-arg", "N=3", "--build-arg", "BUILDKIT_CACHE_MOUNT_NS=mine")
    equal(image.read("log"), b"3\n", "the cache of another name space")


def test_cache_seed(ws):
    """from= and source= say what a new cache begins with; later contents stay."""
    context = ws.context({"Buildfile": """\
FROM busybox AS seed
RUN mkdir /s && echo seed > /s/f && ln /s/f /s/g && ln -s f /s/l && chown 3:4 /s/f
FROM busybox
ARG N
RUN --mount=type=cache,from=seed,source=/s,target=/c cat /c/f /c/l > /seen && stat -c '%u:%g %h' /c/f >> /seen && \\
    ls /c >> /seen && touch /c/new$N
"""})
    equal(ws.build_image(context, "--build-arg", "N=1").read("seen"), b"seed\nseed\n3:4 2\nf\ng\nl\n", "a new cache")
    equal(ws.build_image(context, "--build-arg", "N=2").read("seen"), b"seed\nseed\n3:4 2\nf\ng\nl\nnew1\n", "later")


def start_two(ws, sharing, script):
    """Two builds at once whose steps do the same with one cache."""
    builds = []
    for name in ("one", "two"):
        context = ws.context({"Buildfile": "FROM busybox\nRUN --mount=type=cache,id=c,target=/c,sharing="
                              f"{sharing} {script.format(name=name)}\n"}, name=name)
        builds.append(ws.start(workspace.binary(), "build", "--progress", "plain", "--build-context",
                               f"busybox={ws.busybox()}", context))
    for build in builds:
        equal(build.wait(timeout=120), 0, f"the exit code\n{build.log.read_text(errors='replace')}")
    return [build.log.read_text(errors="replace") for build in builds]


def read_cache(ws, name):
    context = ws.context({"Buildfile": f"FROM busybox\nRUN --mount=type=cache,id=c,target=/c cat /c/{name} > /got\n"},
                         name=f"read-{name}")
    return ws.build_image(context).read("got").decode()


def test_locked_cache_never_overlaps(ws):
    """Steps of two builds with a locked cache run one after the other, and the one that waits says so."""
    logs = start_two(ws, "locked", "i=0; while [ $i -lt 20 ]; do echo {name} in >> /c/log; sleep 0.05; "
                     "echo {name} out >> /c/log; i=$((i+1)); done")
    lines = read_cache(ws, "log").split("\n")[:-1]
    equal(len(lines), 80, "lines of both")
    names = [line.split()[0] for line in lines]
    expect(names in (["one"] * 40 + ["two"] * 40, ["two"] * 40 + ["one"] * 40), f"they overlap: {names}")
    expect(any("waiting for the cache 'c'" in log for log in logs), "nobody says that it waits")


def test_shared_cache_is_whole(ws):
    """Steps of two builds with a shared cache run at once, and what each appends is there."""
    start_two(ws, "shared", "i=0; while [ $i -lt 300 ]; do echo {name} $i >> /c/log; i=$((i+1)); done; "
              "touch /c/{name}; i=0; while [ ! -e /c/one ] || [ ! -e /c/two ]; do "
              "i=$((i+1)); [ $i -lt 600 ] || exit 1; sleep 0.05; done")
    lines = read_cache(ws, "log").split("\n")[:-1]
    equal(sorted(lines), sorted(f"{name} {i}" for name in ("one", "two") for i in range(300)), "lines of both")


def test_private_cache_is_alone(ws):
    """Steps of two builds with a private cache run at once in directories of their own."""
    start_two(ws, "private", "touch /c/{name}; sleep 2; [ $(ls /c | wc -l) = 1 ]")


def test_two_steps_want_two_locks(ws):
    """Locks are taken in one order, so that nobody waits for ever."""
    context = ws.context({"Buildfile": """\
FROM busybox AS a
RUN --mount=type=cache,id=x,target=/x,sharing=locked --mount=type=cache,id=y,target=/y,sharing=locked sleep 0.3
FROM busybox AS b
RUN --mount=type=cache,id=y,target=/y,sharing=locked --mount=type=cache,id=x,target=/x,sharing=locked sleep 0.3; true
FROM busybox AS c
RUN --mount=type=cache,id=x,target=/1,sharing=locked --mount=type=cache,id=x,target=/2 touch /1/f && cat /2/f
FROM busybox
COPY --from=a /etc/passwd /a
COPY --from=b /etc/passwd /b
COPY --from=c /etc/passwd /c
"""})
    ws.build(context, timeout=60)


def test_stop_while_waiting(ws):
    """A build that waits for a cache can be stopped."""
    text = "FROM busybox\nRUN --mount=type=cache,id=c,target=/c,sharing=locked touch /c/in; sleep {}\n"
    first = ws.start(workspace.binary(), "build", "--progress", "plain", "--build-context", f"busybox={ws.busybox()}",
                     ws.context({"Buildfile": text.format(60)}, name="first"))
    machine.wait_until(lambda: list(ws.root.glob("mounts/*/0/data/in")) or first.poll() is not None, 60, "the first runs")
    second = ws.start(workspace.binary(), "build", "--progress", "plain", "--build-context", f"busybox={ws.busybox()}",
                      ws.context({"Buildfile": text.format(61)}, name="second"))
    machine.wait_until(lambda: "waiting for the cache" in second.log.read_text() or second.poll() is not None, 60,
                       "the second waits")
    second.terminate()
    equal(second.wait(timeout=20), 143, "the exit code of the one that waited")
    first.terminate()
    first.wait(timeout=30)


# ------------------------------------------------------------ secrets


def test_secret_forms(ws):
    """A secret from a file or a variable, as a file with owner and mode, as a variable, or as both."""
    ws.write("file", "from-file")
    ws.write("by-name", "by-name")
    context = ws.context({"Buildfile": """\
FROM busybox
ENV B=of-the-image
RUN --mount=type=secret,id=a --mount=type=secret,id=b,env=B --mount=type=secret,id=by-name,target=/x/y,mode=0440,uid=3,gid=4 \\
    --mount=type=secret,id=c,target=/run/c,env=C --mount=type=secret,id=absent,env=D \\
    wc -c < /run/secrets/a > /o && echo $(echo "$B" | wc -c) $(echo "$C" | wc -c) "[$D]" >> /o && \\
    stat -c '%a %u %g' /x/y >> /o && stat -c '%a %u %g' /run/secrets/a >> /o && cmp /run/c /run/c && \\
    [ ! -e /run/secrets/b ] && [ "$B" = from-variable ] && if echo x > /x/y; then exit 1; fi
USER 5
RUN --mount=type=secret,id=a if cat /run/secrets/a; then exit 1; fi
RUN --mount=type=secret,id=a,uid=5 cat /run/secrets/a > /tmp/5
"""})
    image = ws.build_image(context, "--secret", f"id=a,src={ws.path}/file", "--secret", "id=b,env=SECRET_B", "--secret",
                           f"id=by-name,src={ws.path}/by-name", "--secret", "type=env,id=c,src=SECRET_C",
                           env={"SECRET_B": "from-variable", "SECRET_C": "c"})
    equal(image.read("o"), b"9\n14 2 []\n440 3 4\n400 0 0\n", "what the step saw")
    equal(image.read("tmp/5"), b"from-file", "what a user of its own saw")
    expect(not [path for path in image.tree() if path.startswith(("run/secrets", "x", "run/c"))], "nothing is left")


def test_secret_from_a_pipe(ws):
    """A secret may come from a pipe, as <(command) makes it."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN --mount=type=secret,id=s,required cat /run/secrets/s > /o\n"})
    ws.run("bash", "-c", f'exec "$0" build --build-context "busybox=$1" --secret id=s,src=<(echo piped) '
           f'-o type=oci,dest={ws.path}/piped.tar "$2"', workspace.binary(), ws.busybox(), context)
    equal(oci.load(ws.path / "piped.tar").read("o"), b"piped\n", "the secret")


def test_secret_is_nowhere(ws):
    """The value of a secret is in no file of the store, no log, image, key or command line, while the step runs and after."""
    ws.write("value", CANARY)
    marker = str(10**7 + os.getpid() + 1)
    context = ws.context({"Buildfile": f"""\
FROM busybox
RUN --mount=type=secret,id=file,required --mount=type=secret,id=var,env=VALUE,required \\
    [ "$(cat /run/secrets/file)" = "$VALUE" ] && echo same && touch /made && sleep 3 && : {marker}
"""})
    build = ws.start(workspace.binary(), "build", "--progress", "plain", "--build-context", f"busybox={ws.busybox()}",
                     "--secret", f"id=file,src={ws.path}/value", "--secret", "id=var,env=SECRET_CANARY", "-t", "x:1",
                     "-o", f"type=oci,dest={ws.path}/out.tar", context, env={"SECRET_CANARY": CANARY})
    machine.wait_until(lambda: "same" in build.log.read_text() or build.poll() is not None, 60, "the step runs")
    expect(build.poll() is None, f"the build ended early\n{build.log.read_text()}")
    needle = CANARY.encode()
    equal([pid for pid, line in command_lines() if needle in line], [], "command lines with the value")
    equal([name for name, data in everything_below(ws.root) if needle in data], [], "files of the store with the value")
    environment = pathlib.Path(f"/proc/{build.pid}/environ").read_bytes()
    expect(needle not in environment, "the value is still in the environment of the worker")
    equal(build.wait(timeout=60), 0, f"the exit code\n{build.log.read_text()}")
    equal([name for name, data in everything_below(ws.root) if needle in data], [], "files of the store with the value")
    lacks(build.log.read_text(), CANARY)
    with tarfile.open(ws.path / "out.tar") as archive:
        for member in archive:
            if member.isfile():
                data = archive.extractfile(member).read()
                expect(needle not in data, f"{member.name} in the archive has the value")
                if data[:2] == b"\x1f\x8b":
                    plain = subprocess.run(["gzip", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
                    expect(needle not in plain, f"the layer {member.name} has the value")
    equal(machine.unfinished(ws.root), [], "what is left in the store's tmp")


def test_secret_value_is_in_no_key(ws):
    """Another value of a secret, or none, is the same step."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN --mount=type=secret,id=s ls /run/secrets > /o; true\n"})
    ws.build(context, "--secret", "id=s,env=S", env={"S": "one"})
    matches(ws.build(context, "--secret", "id=s,env=S", env={"S": "two"}).err, r"^#\d+ CACHED")
    matches(ws.build(context).err, r"^#\d+ CACHED")


def test_secret_errors(ws):
    """What is wrong with a secret is told before anything runs, and never with its value."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN --mount=type=secret,id=s,required true\n"})
    contains(ws.build(context, code=11).err, "secret s: not found", "--secret id=s", "Buildfile:2")
    for option, code, word in (("id=s,src=absent", 11, "absent"), ("src=x", 2, "it has no id"),
                               ("id=s,env=ABSENT", 11, "'ABSENT' is not set"), ("id=s,colour=x", 2, "'colour'"),
                               (f"id=s,{CANARY}", 2, "KEY=VALUE"), ("type=vault,id=s", 2, "neither file nor env")):
        err = ws.build(context, "--secret", option, code=code).err
        contains(err, word)
        lacks(err, CANARY)
    ws.write("large", b"x" * (500 * 1024 + 1))
    contains(ws.build(context, "--secret", f"id=s,src={ws.path}/large", code=11).err, "more than 512000 bytes")
    ws.write("nul", b"a\0b")
    context = ws.context({"Buildfile": "FROM busybox\nRUN --mount=type=secret,id=s,env=V true\n"})
    contains(ws.build(context, "--secret", f"id=s,src={ws.path}/nul", code=None).err, "NUL byte")


# ------------------------------------------------------------ ssh


SSH_FILE = """\
FROM busybox
RUN --mount=type=ssh,required,mode=0660,uid=3,gid=4 stat -c '%F %a %u %g' "$SSH_AUTH_SOCK" > /o && echo $SSH_AUTH_SOCK >> /o
RUN --mount=type=ssh,id=other,target=/sock [ ! -e /sock ] && [ -z "$SSH_AUTH_SOCK" ]
"""


def test_ssh_socket(ws):
    """The agent is a socket with the owner that was asked for; an agent that is not given is not there."""
    machine.need("ssh-agent", "ssh-add", "ssh-keygen")
    ws.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ws.path / "key")
    context = ws.context({"Buildfile": SSH_FILE})
    image = ws.build_image(context, "--ssh", f"default={ws.path}/key")
    equal(image.read("o"), b"socket 660 3 4\n/run/buildkit/ssh_agent.0\n", "the socket")
    machine.wait_until(lambda: not [line for _, line in command_lines() if str(ws.path).encode() in line], 15,
                       "the agent is gone")


# Asks the agent to list its keys (11), then to forget them all (19), and prints the answers in hexadecimal.
CLIENT = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
static void ask(int fd, unsigned char type) {
    unsigned char buffer[65536] = {0, 0, 0, 1, type};
    if (write(fd, buffer, 5) != 5 || read(fd, buffer, 4) != 4) exit(1);
    size_t size = (size_t)buffer[2] << 8 | buffer[3], got = 0;
    while (got < size) {
        ssize_t n = read(fd, buffer + got, size - got);
        if (n <= 0) exit(1);
        got += n;
    }
    for (size_t i = 0; i < size; ++i) printf("%02x", buffer[i]);
    puts("");
}
int main(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, getenv("SSH_AUTH_SOCK"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr*)&address, sizeof address) != 0) return 1;
    ask(fd, 11);
    ask(fd, 19);
    return 0;
}
"""


def test_ssh_answers(ws):
    """A step can list the keys of an agent, as the user that the socket belongs to, and cannot take them away."""
    machine.need("ssh-agent", "ssh-add", "ssh-keygen", "gcc")
    ws.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "the key", "-f", ws.path / "key")
    agent = ws.start("ssh-agent", "-D", "-a", ws.path / "agent")
    machine.wait_until(lambda: (ws.path / "agent").exists(), 20, "the agent listens")
    ws.run("ssh-add", "-q", ws.path / "key", env={"SSH_AUTH_SOCK": ws.path / "agent"})
    context = ws.context({"client.c": CLIENT, "Buildfile": """\
FROM busybox
USER 7
RUN --mount=type=ssh,id=work,uid=7 --mount=source=client,target=/client /client > /tmp/o
USER 8
RUN --mount=type=ssh,id=work,uid=7 --mount=source=client,target=/client if /client; then exit 1; fi
"""})
    ws.run("gcc", "-static", "-o", context / "client", context / "client.c")
    keys, refusal = ws.build_image(context, "--ssh", f"work={ws.path}/agent").read("tmp/o").decode().split()
    expect(keys.startswith("0c") and b"the key".hex() in keys, f"the list of keys: {keys}")
    equal(refusal, "05", "the answer to a removal")
    contains(ws.run("ssh-add", "-l", env={"SSH_AUTH_SOCK": ws.path / "agent"}).out, "the key")
    agent.terminate()


def test_ssh_errors(ws):
    """A missing agent is told, at the option or at the step that requires it."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN --mount=type=ssh,required true\n"})
    contains(ws.build(context, code=11).err, "ssh agent default: not found", "--ssh default", "Buildfile:2")
    contains(ws.build(context, "--ssh", "default", code=2).err, "SSH_AUTH_SOCK is not set")
    contains(ws.build(context, "--ssh", f"default={ws.path}/absent", code=11).err, "No such file")
    contains(ws.build(context, "--ssh", f"default={context}/Buildfile", code=11).err, "ssh-add does not take the keys")


# ------------------------------------------------------------ scripts, hosts, limits


def test_scripts(ws):
    """A heredoc with an interpreter of its own is a file that the step executes and cannot change."""
    context = ws.context({"Buildfile": """\
FROM busybox
RUN <<EOF
#!/bin/awk -f
BEGIN { print "awk" > "/o" }
EOF
RUN <<-'x.sh'
	#!/bin/sh
	stat -c '%a %u' /dev/pipes/x.sh > /p
	if echo x > "$0"; then exit 1; fi
	echo "$HOME" >> /p
x.sh
USER 5
RUN <<EOF
#!/bin/sh
echo fine
EOF
"""})
    log = ws.build(context).err
    image = ws.build_image(context)
    equal((image.read("o"), image.read("p")), (b"awk\n", b"755 0\n/root\n"), "what the scripts made")
    contains(log, "RUN <<EOF (#!/bin/awk -f…)", " fine\n")


def test_hosts_limits_and_shared_memory(ws):
    """--add-host, --ulimit and --shm-size reach every RUN, and are part of its key."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN grep example /etc/hosts > /o; ulimit -n >> /o; ulimit -u >> /o; "
                          "df -k /dev/shm | tail -n 1 | awk '{print $2}' >> /o\n"})
    options = ["--add-host", "one.example:10.1.2.3", "--add-host", "two.example=[::7]", "--add-host",
               "me.example:host-gateway", "--ulimit", "nofile=1234:2345", "--ulimit", "nproc=4321", "--shm-size", "8m"]
    image = ws.build_image(context, *options)
    equal(image.read("o"), b"10.1.2.3\tone.example\n::7\ttwo.example\n127.0.0.1\tme.example\n1234\n4321\n8192\n", "the step")
    matches(ws.build(context, *options).err, r"^#\d+ CACHED")
    matches(ws.build(context, *options[:-1], "16m").err, r"^#\d+ DONE")
    for bad in (["--add-host", "x"], ["--add-host", "x:y"], ["--ulimit", "nofile"], ["--ulimit", "colour=1"],
                ["--ulimit", "nofile=2:1"], ["--shm-size", "0"], ["--shm-size", "x"], ["--allow", "everything"]):
        contains(ws.build(context, *bad, code=2).err, bad[0])


def test_network_of_all_steps(ws):
    """--network=none holds for every RUN that says nothing itself."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN ls /sys/class/net > /dev/null; ip -o link | wc -l > /o\n"
                          "RUN --network=host readlink /proc/self/ns/net > /host\n"})
    image = ws.build_image(context, "--network", "none")
    equal(image.read("o"), b"1\n", "interfaces")
    equal(image.read("host").decode().strip(), os.readlink("/proc/self/ns/net"), "the network of --network=host")


def test_insecure(ws):
    """With --allow a step is root of this machine, and without it the build file may not ask."""
    context = ws.context({"Buildfile": "FROM busybox\nRUN readlink /proc/self/ns/user > /a; mount -t tmpfs x /mnt || "
                          "echo refused >> /a\nRUN --security=insecure mkdir -p /mnt && mount -t tmpfs x /mnt && "
                          "readlink /proc/self/ns/user > /b && touch /mnt/x && chown 5:6 /b\n"})
    contains(ws.build(context, code=2).err, "--allow security.insecure", "Buildfile:3")
    image = ws.build_image(context, "--allow", "security.insecure")
    own = os.readlink("/proc/self/ns/user")
    expect(own not in image.read("a").decode() and b"refused" in image.read("a"), "a plain step is confined")
    equal(image.read("b").decode().strip(), own, "the user namespace of the insecure step")
    tree = image.tree()
    equal(tree["b"].owner, (5, 6), "the owner that an insecure step gives")
    expect("mnt/x" not in tree, "what lies on a mount is no part of the layer")


def test_onbuild_mounts(ws):
    """A trigger may have mounts and --from, which mean the stages and the context of the build that runs it."""
    base = ws.context({"Buildfile": "FROM busybox\nONBUILD RUN --mount=from=tools,source=/t,target=/t "
                       "--mount=target=/ctx --mount=type=cache,target=/c cat /t/x /ctx/y > /seen\n"
                       "ONBUILD COPY --from=tools /t/x /copied\n"}, name="base")
    ws.build(base, "-o", f"type=oci,dest={ws.path}/base,tar=false")
    context = ws.context({"y": "mine\n", "Buildfile": "FROM busybox AS tools\nRUN mkdir /t && echo tool > /t/x\nFROM base\n"})
    image = ws.build_image(context, "--build-context", f"base=oci-layout://{ws.path}/base")
    equal((image.read("seen"), image.read("copied")), (b"tool\nmine\n", b"tool\n"), "what the triggers made")


def test_graph_shows_mounts(ws):
    """debug graph prints mounts and what they read from."""
    context = ws.context({"a": "", "Buildfile": "FROM busybox\nRUN --mount=target=/m,source=a --mount=type=cache,target=/c,"
                          "sharing=locked --mount=type=secret,id=s,env=S true\n"})
    graph = ws.imgbuild("debug", "graph", "--build-context", f"busybox={ws.busybox()}", context).json()
    mounts = [node["mounts"] for node in graph["nodes"] if node["op"] == "exec"][0]
    equal([(mount["type"], mount.get("target"), mount.get("sharing"), mount.get("env")) for mount in mounts],
          [("bind", "/m", None, None), ("cache", "/c", "locked", None), ("secret", None, None, "S")], "the mounts")
