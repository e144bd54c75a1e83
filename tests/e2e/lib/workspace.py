"""A directory, a store and a binary for one test."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import busybox
import machine
import oci
import plain_user
from expect import Failure, expect, indent

TOP = pathlib.Path(__file__).resolve().parents[3]
CACHE = pathlib.Path(os.environ.get("IMGBUILD_E2E_CACHE", TOP / "build" / "e2e-cache"))


def binary():
    """The binary under test: $IMGBUILD, else the one that was built last."""
    if "IMGBUILD" in os.environ:
        return plain_user.reachable(os.path.abspath(os.environ["IMGBUILD"]))
    built = [path for path in TOP.glob("build/*/cli/imgbuild") if os.access(path, os.X_OK)]
    if not built:
        raise Failure("no binary: set IMGBUILD or build a preset")
    return plain_user.reachable(str(max(built, key=lambda path: path.stat().st_mtime)))


class Result:
    """How a command ended: `code`, `out` and `err` (text)."""

    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def story(self):
        """The whole of it, for a message."""
        return (f"$ {' '.join(map(str, self.argv))}\nexit {self.code}\nstdout:\n{indent(self.out)}"
                f"stderr:\n{indent(self.err)}")

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError as error:
            raise Failure(f"stdout is not JSON ({error})\n{self.story()}") from None


class Workspace:
    """Files below `path`, a store in `root`; both vanish with close()."""

    def __init__(self, name):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"imgbuild-{name}-"))
        self.path.chmod(0o755)
        self.root = self.path / "store"
        (self.path / "home").mkdir()
        self._closing = []
        self._stores = set()

    # ------------------------------------------------------------ files

    def write(self, name, content="", mode=0o644):
        """A file with all its parents; bytes or text."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    def context(self, files, name="context"):
        """A build context from {path: text, bytes or (text, mode)}; the key "Buildfile" is the build file."""
        for path, content in files.items():
            text, mode = content if isinstance(content, tuple) else (content, 0o644)
            self.write(f"{name}/{path}", text, mode)
        (self.path / name).mkdir(exist_ok=True)
        return self.path / name

    def busybox(self):
        """An OCI layout of Debian's static busybox as a base: `--build-context busybox=<this>`."""
        return f"oci-layout://{plain_user.readable(busybox.layout(CACHE))}"

    # ------------------------------------------------------------ commands

    def environment(self, **more):
        """Little and known, whatever the machine's own environment is; sanitizer options pass."""
        keep = {key: value for key, value in os.environ.items() if key.endswith("SAN_OPTIONS") or key == "TMPDIR"}
        base = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.path / "home"), "LC_ALL": "C.UTF-8",
                "IMGBUILD_ROOT": str(self.root)}
        return {**base, **keep, **{key: str(value) for key, value in more.items()}}

    def _command(self, argv):
        """The binary is run by the plain user, if there is one, with everything of the workspace his."""
        argv = [str(word) for word in argv]
        if argv[0] != binary() or not plain_user.name():
            return argv
        plain_user.own(self.path, besides=self._stores)
        return [*plain_user.prefix(), *argv]

    def run(self, *argv, code=0, env=None, cwd=None, timeout=300, stdin=b""):
        """Runs any command with these bytes as its input and expects this exit code (None: any)."""
        self._stores.add(str((env or {}).get("IMGBUILD_ROOT", self.root)))
        argv = self._command(argv)
        try:
            done = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=self.environment(**(env or {})), cwd=cwd or self.path, timeout=timeout,
                                  check=False)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"no end after {timeout} s: {' '.join(argv)}\n"
                          f"{indent((late.stderr or b'').decode(errors='replace'))}") from None
        result = Result(argv, done.returncode, done.stdout.decode(errors="replace"),
                        done.stderr.decode(errors="replace"))
        expect(code is None or result.code == code, f"expected exit {code}\n{result.story()}")
        return result

    def imgbuild(self, *arguments, **options):
        """Runs the binary; options as for run()."""
        return self.run(binary(), *arguments, **options)

    def build(self, context, *arguments, **options):
        """`imgbuild build` with busybox as a named context and plain progress."""
        return self.imgbuild("build", "--progress", "plain", "--build-context", f"busybox={self.busybox()}",
                             *arguments, context, **options)

    def build_image(self, context, *arguments, **options):
        """Builds into an OCI archive of the workspace and returns it read and verified (oci.Image)."""
        archive = self.path / f"out-{len(list(self.path.glob('out-*')))}.tar"
        self.build(context, "-o", f"type=oci,dest={archive}", *arguments, **options)
        return oci.load(archive)

    def start(self, *argv, env=None, cwd=None):
        """Starts a command in the background, in a process group of its own; it is killed at the end of the test."""
        log = self.path / f"background-{len(self._closing)}.log"
        self._stores.add(str((env or {}).get("IMGBUILD_ROOT", self.root)))
        argv = self._command(argv)
        with open(log, "wb") as sink:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sink,
                                       stderr=subprocess.STDOUT, env=self.environment(**(env or {})),
                                       cwd=cwd or self.path, start_new_session=True)
        process.log = log
        self._closing.append(process)
        return process

    # ------------------------------------------------------------ end

    def close(self, keep=False):
        for process in reversed(self._closing):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        left = [mount for mount in machine.mounts() if mount.startswith(f"{self.path}/")]
        for mount in sorted(left, key=len, reverse=True):
            subprocess.run(["umount", "-l", mount], check=False, stderr=subprocess.DEVNULL)
        if keep:
            print(f"       kept: {self.path}")
        else:
            shutil.rmtree(self.path, ignore_errors=True)
