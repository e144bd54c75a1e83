"""Build files and contexts from a grammar: everything in it means the same to every builder. Same seed, same files."""
import random

CONTEXT = {
    "a.txt": ("alpha\n", 0o644), "b.txt": ("beta\n", 0o640), "run.sh": ("#!/bin/sh\necho run\n", 0o755), "empty": ("", 0o600),
    "dir/one": ("1\n", 0o644), "dir/two.md": ("2\n", 0o600), "dir/sub/three": ("3\n", 0o755), "dir/sub/.hidden": ("h\n", 0o644),
    "src/main.c": ("int main;\n", 0o644), "src/lib/x.c": ("int x;\n", 0o644), "src/lib/x.h": ("extern int x;\n", 0o644),
    "with space/f": ("s\n", 0o644), "skip/no": ("n\n", 0o644), ".dockerignore": ("skip\n**/*.o\nnot.o\n", 0o644),
    "src/lib/x.o": ("object\n", 0o644),
}
FILES = ["a.txt", "b.txt", "run.sh", "empty", "dir/one", "src/main.c", "dir/sub/three"]
WILDCARDS = ["*.txt", "dir/*", "src/*/*.c", "[ab].txt", "src/lib/x.?", "d?r/one"]
FOLDERS = ["dir", "dir/", "src", "src/lib", "./dir/sub", "/src"]
PLACES = ["/opt", "/srv/app", "/data", "/usr/share/doc/x", "/new/deep/place", "here", "sub/there", "/tmp"]
OWNERS = ["1000", "1000:50", "7:8", "builder", "builder:staff", "root:nogroup", "0:1001"]
MODES = ["644", "0755", "600", "4755", "1777", "2750"]


class Stage:
    def __init__(self, name, base):
        self.name, self.base, self.lines, self.made = name, base, [], []


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.number = 0

    def build_file(self):
        """The text of one build file."""
        self.number += 1
        pick = self.random
        stages = []
        head = [f"ARG GLOBAL=g{self.number}"] if pick.random() < .3 else []
        for index in range(pick.choice([1, 1, 1, 2, 2, 3])):
            bases = ["busybox", "busybox", "busybox"] + [stage.name for stage in stages]
            stage = Stage(f"s{index}", pick.choice(bases))
            stages.append(stage)
            if head and pick.random() < .5:
                stage.lines.append("ARG GLOBAL")
            for _ in range(pick.randint(2, 7)):
                stage.lines.append(self.instruction(stage, stages[:-1]))
        text = head[:]
        for stage in stages:
            text += [f"FROM {stage.base} AS {stage.name}", *stage.lines]
        return "\n".join(text) + "\n"

    def instruction(self, stage, earlier):
        makers = [self.copy, self.copy, self.copy, self.add, self.run, self.run, self.env, self.arg, self.workdir, self.label,
                  self.user, self.config]
        if any(other.made for other in earlier):
            makers += [self.copy_from] * 3
        maker = self.random.choice(makers)
        return maker(stage, earlier) if maker == self.copy_from else maker(stage)

    def flags(self):
        pick, flags = self.random, ""
        if pick.random() < .3:
            flags += f"--chown={pick.choice(OWNERS)} "
        if pick.random() < .25:
            flags += f"--chmod={pick.choice(MODES)} "
        return flags

    def place(self, stage, folder):
        place = self.random.choice(PLACES) + self.random.choice(["", f"/p{len(stage.made)}"])
        return place + "/" if folder else place

    def copy(self, stage, keyword="COPY"):
        pick = self.random
        kind = pick.choice(["file", "files", "wildcard", "folder", "json"])
        folder = kind != "file" or pick.random() < .5
        target = self.place(stage, folder)
        if target.rstrip("/") in PLACES and not folder:
            target += "/named"
        stage.made.append(target)
        if kind == "json":
            return f'{keyword} {self.flags()}["with space/f", "a.txt", "{target}"]'
        sources = {"file": [pick.choice(FILES)], "files": pick.sample(FILES, 2), "wildcard": [pick.choice(WILDCARDS)],
                   "folder": [pick.choice(FOLDERS)]}[kind]
        return f"{keyword} {self.flags()}{' '.join(sources)} {target}"

    def add(self, stage):
        if self.random.random() < .5:
            return self.copy(stage, "ADD")
        target = self.place(stage, True)
        stage.made.append(target)
        return f"ADD pack{self.random.choice(['.tar', '.tgz'])} {target}"

    def copy_from(self, stage, earlier):
        source = self.random.choice([other for other in earlier if other.made])
        target = self.place(stage, True)
        stage.made.append(target)
        what = self.random.choice(["/etc/passwd", "/etc", "/bin/busybox", "/home"])
        return f"COPY --from={source.name} {self.flags()}{what} {target}"

    def run(self, stage):
        n = len(stage.lines)
        return "RUN " + self.random.choice([
            f"mkdir -p /var/r{n}/x && echo $PATH > /var/r{n}/path",
            f"echo one > /r{n} && chmod 4711 /r{n}", f"ln -s ../etc/passwd /var/l{n} && ln /etc/group /var/h{n}",
            "rm -rf /home", "rm -f /etc/group && cp /etc/passwd /etc/group", "chmod 700 /var && touch /var/t",
            f'["/bin/touch", "/exec{n}"]', f"mkfifo /pipe{n}", f"rm -rf /usr && mkdir /usr && touch /usr/only{n}",
            f"chown 12:34 /bin && echo $A > /var/a{n}; true", f"echo ${{GLOBAL}}-$B > /b{n}", f"pwd > /pwd{n}; id -u > /id{n}",
        ]) if stage.lines and not any(line.startswith("USER") for line in stage.lines) else f'ENV N{n}="no step"'

    def env(self, stage):
        return "ENV " + self.random.choice(['A=1', 'A="two words" B=$A', "B=${A:-none}", 'C=${B:+set} D=\'$A\'', "E old form",
                                            "PATH=/opt/bin:$PATH", "F=a\\ b", "A="])

    def arg(self, stage):
        return "ARG " + self.random.choice(["B", "B=arg", "A=hidden", "V1=x"])

    def workdir(self, stage):
        return "WORKDIR " + self.random.choice(["/work", "sub", "/a/b/c", "/tmp", "../up", "/opt/${A:-plain}"])

    def label(self, stage):
        return "LABEL " + self.random.choice(['org.example.a=1', 'org.example.b="x y"', "org.example.c=$A", "d=1 e=2", "f one two"])

    def user(self, stage):
        return "USER " + self.random.choice(["builder", "1000", "1000:50", "nobody:nogroup", "root"])

    def config(self, stage):
        return self.random.choice(["EXPOSE 80 53/udp", "EXPOSE 8000-8002/tcp", "VOLUME /vol /vol2", 'VOLUME ["/json"]',
                                   "STOPSIGNAL SIGUSR1", "STOPSIGNAL 9", 'CMD ["/bin/echo", "x"]', "CMD echo shell",
                                   'ENTRYPOINT ["/bin/sh"]', "ENTRYPOINT echo e", "MAINTAINER somebody <a@example.com>",
                                   "HEALTHCHECK --interval=30s --retries=2 CMD true", "HEALTHCHECK NONE"])
