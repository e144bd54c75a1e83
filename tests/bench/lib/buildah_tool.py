"""buildah, as Debian has it."""
from tools import Tool, checked


class Buildah(Tool):
    """Debian's, with the overlay driver and its lightest isolation; stages side by side, as everywhere else."""
    name = "buildah"

    def places(self, store):
        return ["buildah", "--root", store / "root", "--runroot", store / "run", "--storage-driver", "overlay"]

    def prime(self, store, bases):
        for base, layout in bases.items():
            pulled = checked([*self.places(store), "pull", "-q", f"oci:{layout}:latest"], self.environment(store)).split()[-1]
            checked([*self.places(store), "tag", pulled, f"localhost/{base}:latest"], self.environment(store))

    def commands(self, store, job):
        build = [*self.places(store), "bud", "-q", "--isolation", "chroot", "--layers", "--jobs", "8", "--tls-verify=false",
                 "-t", f"localhost/{job.name}:1", "-f", job.context / "Buildfile"]
        for argument in job.arguments:
            build += ["--build-arg", argument]
        commands = [[*build, job.context]]
        push = [*self.places(store), "push", "-q", "--tls-verify=false", "--compression-format", job.compression,
                f"localhost/{job.name}:1"]
        if job.archive:
            commands.append([*push, f"oci-archive:{job.archive}"])
        elif job.registry:
            commands.append([*push, f"docker://{job.registry}/{job.name}:1"])
        return commands
