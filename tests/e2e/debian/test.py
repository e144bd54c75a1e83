"""A whole Debian: made into an image by imgbuild, pushed, pulled, built upon with apt and gcc, run by other tools.

One test walks the whole way, since each part needs the one before. It needs the network for apt.
"""
import json
import os
import shutil

import debian
import machine
import oci
import registry
import trees
from expect import contains, equal
from workspace import CACHE

BASE = """\
FROM scratch
ADD rootfs.tar /
ENV DEBIAN_FRONTEND=noninteractive
CMD ["/bin/bash"]
"""
APPLICATION = """\
ARG BASE
FROM ${BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make
WORKDIR /src
COPY Makefile ./
# The trap of make: first a dummy, so that a later change of the source only compiles that.
RUN echo 'int main(void) { return 1; }' > hello.c && make
COPY hello.c ./
RUN make

FROM ${BASE} AS app
COPY --from=build /src/hello /usr/local/bin/hello
RUN chmod 4755 /usr/local/bin/hello \\
 && mkdir -p /srv/kinds && cd /srv/kinds \\
 && cp /usr/local/bin/hello capable && setcap cap_net_raw+ep capable \\
 && echo linked > one && ln one two && ln /usr/local/bin/hello other-hello \\
 && setfattr -n user.note -v "a note" one \\
 && mkfifo -m 640 pipe && ln -s ../kinds/one symlink && ln -s /nowhere dangling \\
 && install -d -o 12 -g 34 -m 2750 owned && install -o 70000 -g 3 -m 0604 one owned/file \\
 && rm -r /usr/share/doc && mkdir /usr/share/doc && echo again > /usr/share/doc/again
USER 12:34
CMD ["/usr/local/bin/hello", "world"]

# What a step of the build sees: the judge of what other tools unpack.
FROM app AS witnessed
USER root
RUN tar --one-file-system --xattrs --xattrs-include='*' --numeric-owner \\
    --exclude=./witness.tar --exclude=./dev --exclude=./proc --exclude=./sys -cf /witness.tar -C / .
FROM scratch AS witness
COPY --from=witnessed /witness.tar /witness.tar
"""
HELLO = """\
#include <stdio.h>
int main(int argc, char** argv) {
    printf("hello %s from C\\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
"""
# What every runtime and every builder mounts over; not part of an image.
MOUNTED = ("dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf")


def build_base(ws, host):
    """The Debian image in the registry, by way of a layout of our own making."""
    context = ws.context({"Buildfile": BASE}, name="base")
    shutil.copy(debian.rootfs(CACHE), context / "rootfs.tar")
    name = f"{host}/debian:base"
    ws.imgbuild("build", "-t", name, "--push", context, timeout=600)
    return name


def build_application(ws, base, *arguments):
    """From a store that knows nothing of the base, so that it is really pulled."""
    context = ws.context({"Buildfile": APPLICATION, "hello.c": HELLO, "Makefile": "hello: hello.c\n\tcc -O1 -o hello hello.c\n"})
    return ws.imgbuild("build", "--progress", "plain", "--build-arg", f"BASE={base}", *arguments, context, timeout=1000,
                       env={"IMGBUILD_ROOT": ws.path / "second-store"})


def unpack_with_umoci(ws, layout):
    bundle = ws.path / "bundle"
    ws.run("umoci", "unpack", "--image", f"{layout}:1", bundle, timeout=300)
    return bundle


def run_with_crun(ws, bundle):
    """What the image's command prints when crun runs what umoci unpacked."""
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["terminal"] = False
    (bundle / "config.json").write_text(json.dumps(config))
    crun = (f"crun --cgroup-manager=disabled --root {ws.path}/crun run --bundle {bundle} imgbuild-e2e-{os.getpid()}")
    # crun refuses machines that mount both versions of cgroups, so it gets to see version 2 only.
    return ws.run("unshare", "-m", "sh", "-ec", f"umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; {crun}").out


def test_the_whole_way(ws):
    """mmdebstrap → ADD → push → FROM → apt, gcc, make → push → skopeo → umoci → crun; all see the same tree."""
    machine.need_root()
    machine.need("mmdebstrap", "docker-registry", "skopeo", "umoci", "crun")
    host = registry.Registry(ws).host
    base = build_base(ws, host)

    name = f"{host}/app:1"
    build_application(ws, base, "--target", "app", "-t", name, "--push", "-o", "type=oci,dest=app.tar",
                      "-o", "type=oci,dest=app.dir,tar=false")
    image = oci.load(ws.path / "app.tar")
    equal(image.settings["Cmd"], ["/usr/local/bin/hello", "world"], "Cmd")

    contains(ws.run("skopeo", "inspect", "--tls-verify=false", f"docker://{name}").out, image.digest)
    layout = ws.path / "copied"
    ws.run("skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", f"docker://{name}", f"oci:{layout}:1")
    ws.run("skopeo", "copy", "--insecure-policy", f"oci:{ws.path}/app.dir", f"oci:{ws.path}/copied-dir:1")
    equal(oci.load(ws.path / "copied-dir").digest, image.digest, "the digest of the copied layout")

    bundle = unpack_with_umoci(ws, layout)
    unpacked, flattened = trees.of_directory(bundle / "rootfs"), image.tree()
    trees.require_same(unpacked, flattened, "umoci's tree and our flattening of the layers", ignore=("",))
    require_kinds(flattened)

    build_application(ws, base, "--target", "witness", "-o", "type=oci,dest=witness.tar")
    with open(ws.path / "witness-inner.tar", "wb") as inner:
        inner.write(oci.load(ws.path / "witness.tar").read("witness.tar"))
    with open(ws.path / "witness-inner.tar", "rb") as inner:
        seen = trees.of_tar(inner)
    trees.require_same(seen, unpacked, "the tree that a step saw and umoci's", ignore=("", *MOUNTED))

    equal(run_with_crun(ws, bundle), "hello world from C\n", "what the image printed")


def require_kinds(tree):
    """The odd files are in the image as they were made."""
    at = {path.removeprefix("srv/kinds/"): node for path, node in tree.items() if path.startswith("srv/kinds/")}
    equal(tree["usr/local/bin/hello"].mode, 0o4755, "the set-user-id bit")
    equal(at["capable"].xattrs["security.capability"][:4], bytes.fromhex("01000002"), "version and flags of the capability")
    equal(at["one"].xattrs, {"user.note": b"a note"}, "the attribute")
    equal((at["pipe"].type, at["pipe"].mode), ("fifo", 0o640), "the fifo")
    equal(at["dangling"].content, "/nowhere", "the dangling link")
    equal((at["owned"].owner, at["owned"].mode), ((12, 34), 0o2750), "the owned directory")
    equal(at["owned/file"].owner, (70000, 3), "a large owner")
    links = trees.hard_links(tree)
    equal(links["srv/kinds/two"], "srv/kinds/one", "the hard link")
    equal([path for path in sorted(tree) if path.startswith("usr/share/doc/")], ["usr/share/doc/again"],
          "the remade directory")
