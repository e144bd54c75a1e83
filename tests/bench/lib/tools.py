"""The builders that are compared, each with its way of saying the same thing."""
import dataclasses
import os
import pathlib
import shutil
import subprocess

import disk
from measure import Failed


@dataclasses.dataclass(frozen=True)
class Job:
    """One build: the context, with a Buildfile in it, and what is to be made of the result: a local name, an archive or
    a push to `registry`/`name`."""
    context: pathlib.Path
    name: str
    archive: pathlib.Path = None
    registry: str = None
    compression: str = "gzip"
    arguments: tuple = ()


def checked(command, environment):
    """Runs what is not measured."""
    done = subprocess.run([str(word) for word in command], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: {done.stderr.strip()[-500:]}")
    return done.stdout


class Tool:
    """`name`; commands(store, job) and environment(store) are what is measured, reset(store, bases) is not.

    before() and after(sample) surround what is measured: a builder with a daemon adds what that spent. close() ends it.
    """

    def before(self):
        pass

    def after(self, sample):
        pass

    def close(self):
        pass

    def environment(self, store):
        # Little and known; proxies pass, since a step may need one to fetch its packages, and options of sanitizers.
        keep = {key: value for key, value in os.environ.items() if key.lower().endswith(("_proxy", "san_options"))}
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(store.parent), "LC_ALL": "C.UTF-8", **keep}

    def reset(self, store, bases):
        """An empty store, but for the bases {name: OCI layout}, which are in it unpacked."""
        disk.unmount_below(store)
        shutil.rmtree(store, ignore_errors=True)
        store.mkdir()
        self.prime(store, bases)


class Imgbuild(Tool):
    name = "imgbuild"

    def __init__(self, binary):
        self.binary, self.bases = binary, {}

    def environment(self, store):
        return {**super().environment(store), "IMGBUILD_ROOT": str(store / "root")}

    def prime(self, store, bases):
        self.bases = bases
        for base in bases:
            (store / "prime").mkdir(exist_ok=True)
            (store / "prime" / "Buildfile").write_text(f"FROM {base}\nRUN true\n")
            for command in self.commands(store, Job(store / "prime", "prime")):
                checked(command, self.environment(store))

    def commands(self, store, job):
        words = [self.binary, "build", "-q"]
        for base, layout in self.bases.items():
            words += ["--build-context", f"{base}=oci-layout://{layout}"]
        for argument in job.arguments:
            words += ["--build-arg", argument]
        how = "" if job.compression == "gzip" else f",compression={job.compression}"
        if job.archive:
            words += ["-o", f"type=oci,dest={job.archive}{how}"]
        elif job.registry:
            words += ["-t", f"{job.registry}/{job.name}:1", "-o", f"type=registry{how}"]
        else:
            words += ["-t", f"{job.name}:1"]
        return [[*words, job.context]]
