"""What every workload has, and what most of them do."""
import busybox
from tools import Job


class Workload:
    """One or more rows of the table: rows = [(name, title, target in seconds)].

    A workload with `warm` keeps each tool's store from round to round, and has a round that does not count. Otherwise each
    run begins with a store that has the bases and nothing else. `output` is "name", "archive" or "push".
    """
    warm = False
    output = "name"
    compression = "gzip"
    buildfile = ""

    def __init__(self, place):
        self.place = place
        self.context = place.path / "context"
        self.first_round = -1 if self.warm else 0

    @property
    def name(self):
        return self.rows[0][0].replace(" ", "-")

    def store(self, tool):
        return self.place.path / f"store-{tool.name}"

    # ------------------------------------------------------------ what a workload says

    def prepare(self):
        """Makes the data, once."""
        self.context.mkdir()
        (self.context / "Buildfile").write_text(self.buildfile)

    def bases(self):
        """{name in FROM: OCI layout}, as the stores have it before the first run."""
        return {"busybox": busybox.layout(self.place.path / "cache")}

    def change(self, number):
        """What is different in this round."""

    def arguments(self, number):
        """Build arguments of this round."""
        return ()

    def floors(self):
        """{name: shell script}: what the plain tools of the system take for the same data."""
        return {}

    # ------------------------------------------------------------ what measuring asks

    def job(self, tool, number):
        return Job(self.context, f"{self.name}-{tool.name}",
                   archive=self.place.path / "out.tar" if self.output == "archive" else None,
                   registry=self.place.registry.host if self.output == "push" else None,
                   compression=self.compression, arguments=self.arguments(number))

    def written_before(self, job):
        return self.place.registry_bytes() if job.registry else 0

    def written(self, job, before):
        """Bytes of the archive, or that the registry has more than before; None if nothing leaves the store."""
        if job.archive:
            return job.archive.stat().st_size
        return self.place.registry_bytes() - before if job.registry else None

    def clear(self, job):
        if job.archive:
            job.archive.unlink(missing_ok=True)
