"""A small base image from Debian's static busybox, as an OCI layout directory."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile

from expect import Skip

BINARIES = ("/usr/bin/busybox", "/bin/busybox")
CREATED = "2020-01-01T00:00:00Z"
CREATED_SECONDS = 1577836800
DIRECTORIES = {"bin": 0o755, "dev": 0o755, "etc": 0o755, "home": 0o755, "lib": 0o755, "proc": 0o755, "root": 0o700,
               "sys": 0o755, "tmp": 0o1777, "usr": 0o755, "usr/bin": 0o755, "var": 0o755}
FILES = {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nbuilder:x:1000:1001::/home:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
         "etc/group": "root:x:0:\nbuilders:x:1001:\nstaff:x:50:\nnogroup:x:65534:\n"}
CONFIG = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/bin/sh"]}


def find_binary():
    for path in BINARIES:
        if os.path.exists(path):
            listed = subprocess.run([path, "--list"], stdout=subprocess.PIPE, check=True, text=True)
            return pathlib.Path(path).read_bytes(), listed.stdout.split()
    raise Skip("Debian's busybox-static is not installed (tools/install-packages.sh test)")


def layer():
    """The one layer, uncompressed; the same bytes every time."""
    program, applets = find_binary()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        def add(name, kind, mode, content=b"", target=""):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime, info.linkname = kind, mode, CREATED_SECONDS, target
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, mode in DIRECTORIES.items():
            add(name, tarfile.DIRTYPE, mode)
        add("bin/busybox", tarfile.REGTYPE, 0o755, program)
        for applet in sorted(set(applets) - {"busybox"}):
            add(f"bin/{applet}", tarfile.SYMTYPE, 0o777, target="busybox")
        for name, text in FILES.items():
            add(name, tarfile.REGTYPE, 0o644, text.encode())
    return buffer.getvalue()


def write_layout(folder, config, layers):
    """An OCI layout directory with one linux image; `layers` are uncompressed tars, oldest first."""
    folder = pathlib.Path(folder)
    (folder / "blobs/sha256").mkdir(parents=True)

    def put(content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        (folder / "blobs/sha256" / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}
    document = {"created": CREATED, "architecture": architecture(), "os": "linux", "config": config,
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(raw).hexdigest()}" for raw in layers]},
                "history": [{"created": CREATED, "created_by": "tests/e2e/lib/busybox.py"} for _ in layers]}
    manifest = put(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(document).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [put(gzip.compress(raw, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip") for raw in layers],
    }).encode(), "application/vnd.oci.image.manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_text(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]}))
    return folder


def architecture():
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def layout(cache):
    """The layout in the cache, made at its first use."""
    raw = layer()
    final = pathlib.Path(cache) / f"busybox-{hashlib.sha256(raw).hexdigest()[:12]}"
    if final.is_dir():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    made = pathlib.Path(tempfile.mkdtemp(dir=final.parent))
    made.chmod(0o755)
    write_layout(made, CONFIG, [raw])
    try:
        made.rename(final)
    except OSError:  # another test was first
        shutil.rmtree(made)
    return final
