"""docker build (with BuildKit) and docker push, with a daemon of the suite's own whose data lie in the store."""
import os
import pathlib
import shutil
import signal
import subprocess

import machine
from tools import Tool, checked

TICK = os.sysconf("SC_CLK_TCK")


def _ticks(pid):
    """Processor time of a process and of those children that it has waited for."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))


def _peak(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)


class Docker(Tool):
    """The client does little; what its daemon spends while a command runs is added to the sample."""
    name = "docker"

    def __init__(self):
        self.daemon, self.before_ticks = None, 0

    @staticmethod
    def installed():
        return os.geteuid() == 0 and all(map(shutil.which, ("docker", "dockerd", "containerd", "runc", "skopeo")))

    def environment(self, store):
        return {**super().environment(store), "DOCKER_BUILDKIT": "1", "DOCKER_HOST": f"unix://{store}/socket",
                "DOCKER_CONFIG": str(store / "config")}

    # ------------------------------------------------------------ the daemon

    def reset(self, store, bases):
        self.close()
        super().reset(store, bases)

    def prime(self, store, bases):
        with open(store / "log", "wb") as log:
            self.daemon = subprocess.Popen(
                ["dockerd", "--host", f"unix://{store}/socket", "--data-root", store / "data", "--exec-root", store / "exec",
                 "--pidfile", store / "pid", "--storage-driver", "overlay2", "--bridge", "none", "--iptables=false",
                 "--ip-forward=false", "--ip-masq=false"],
                env=self.environment(store), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        machine.wait_until(lambda: (store / "socket").exists() or self.daemon.poll() is not None, 30, "dockerd listens")
        for base, layout in bases.items():
            archive = store / "base.tar"
            checked(["skopeo", "copy", "-q", "--insecure-policy", f"oci:{layout}:latest", f"docker-archive:{archive}:{base}:latest"],
                    self.environment(store))
            checked(["docker", "load", "-qi", archive], self.environment(store))
            archive.unlink()

    def close(self):
        if self.daemon:
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait()
            self.daemon = None

    def _family(self):
        return [pid for pid, _ in machine.descendants(self.daemon.pid)]

    def before(self):
        self.before_ticks = sum(map(_ticks, self._family()))
        for pid in self._family():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew

    def after(self, sample):
        sample.cpu += (sum(map(_ticks, self._family())) - self.before_ticks) / TICK
        sample.peak = max(sample.peak, *map(_peak, self._family()))

    # ------------------------------------------------------------ commands

    def commands(self, store, job):
        name = f"{job.registry}/{job.name}:1" if job.registry else f"{job.name}:1"
        build = ["docker", "build", "-q", "--network", "host", "-t", name, "-f", job.context / "Buildfile"]
        for argument in job.arguments:
            build += ["--build-arg", argument]
        commands = [[*build, job.context]]
        if job.archive:  # dockerd itself has no exporter of OCI archives
            compress = "zstd -q -3 -T0" if job.compression == "zstd" else "gzip -6"
            commands.append(["sh", "-euc", f"docker save {name} | {compress} > {job.archive}"])
        elif job.registry:
            commands.append(["docker", "push", "-q", name])
        return commands
