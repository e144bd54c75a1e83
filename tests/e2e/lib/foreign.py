"""Layers as other builders write them, from a seed: valid, but with everything that tars allow. Same seed, same bytes.

Parents are left out or come after what is in them; a name occurs twice with other types; files are linked across entries
and layers; a layer writes below a link of another; names are ustar's, GNU's and pax's in one archive; blobs are plain,
gzip with one member or many, or zstd. What a layer means does not depend on who reads it (image-spec layer.md is silent on
some orders): where readers may differ in good faith, nothing is made.
"""
import gzip
import io
import random
import struct
import subprocess
import tarfile

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)  # cap_net_raw, effective
LONG = ["n" * 120, "deep-" * 30, "\udcff\udcfe", "ä€", "sp ace", "new\nline", "=", "-rf", "*"]
OWNERS = [0, 0, 0, 1, 1000, 65534, 65536, 2097151, 2097152, 3_000_000_000]
TIMES = [0, 1, 200_000_000, 200_000_000.75, 1_000_000_000, 1_500_000_000]
KINDS = ["file"] * 6 + ["dir"] * 4 + ["symlink"] * 2 + ["hardlink"] * 3 + ["fifo", "device"] + ["whiteout"] * 2 + ["opaque"] + ["through_link"]


def parents(path):
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


class Layer:
    """One layer in the making. `lower` is {path: type} of what is below, `tree` what there is with the layer so far."""

    def __init__(self, pick, lower, targets):
        self.pick, self.lower, self.tree = pick, lower, dict(lower)
        self.out = io.BytesIO()
        self.named = {}  # path → type of what this layer says
        self.entered = set()  # directories that the layer has put something into
        self.hidden = set()  # whiteouts and opaque directories
        self.aliased = set()  # links that the layer goes through, and where it comes to; named as well, order would decide
        self.targets = targets  # path → the directory that this symbolic link leads to, by as simple a way as can be

    # ------------------------------------------------------------ what may be said

    def path(self):
        depth = self.pick.choice([1, 2, 2, 3, 3, 4])
        return "/".join(self.pick.choice(LONG) if self.pick.random() < .04 else self.pick.choice("abcd") for _ in range(depth))

    def known(self, kinds, where):
        found = sorted(path for path, kind in where.items() if kind in kinds)
        return self.pick.choice(found) if found else None

    def way_is_clear(self, path):
        """Every directory on the way is one, or is not there; or what was there is gone and was a directory."""
        return all(self.tree.get(parent, "dir") == "dir" and not (parent in self.hidden and self.lower.get(parent) != "dir")
                   for parent in parents(path))

    def is_aliased(self, path):
        return any(place == path or place.startswith(f"{path}/") for place in self.aliased)

    def half_entered(self, path):
        """Something of the layer lies below, in directories that it says nothing about."""
        return any((name == path or name.startswith(f"{path}/")) and name not in self.named for name in self.entered)

    def remove(self, path):
        for name in [name for name in self.tree if name == path or name.startswith(f"{path}/")]:
            del self.tree[name]

    def place(self, path, kind):
        if kind != "dir" or self.tree.get(path) != "dir":
            self.remove(path)
            for name in [name for name in self.named if name.startswith(f"{path}/")]:
                del self.named[name]
        for parent in parents(path):
            self.tree.setdefault(parent, "dir")
            self.entered.add(parent)
        self.tree[path] = self.named[path] = kind
        self.targets.pop(path, None)

    # ------------------------------------------------------------ entries

    def write(self, name, kind, content=b"", target="", mode=None, xattrs=None):
        pick = self.pick
        info = tarfile.TarInfo(pick.choice(["", "", "./", ".//"]) + name)
        info.type, info.linkname, info.size = kind, target, len(content)
        info.mode = pick.choice([0o644, 0o600, 0o755, 0o4755, 0o2750, 0o1777, 0]) if mode is None else mode
        info.uid, info.gid = pick.choice(OWNERS), pick.choice(OWNERS)
        info.mtime = pick.choice(TIMES)
        if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            info.devmajor, info.devminor = pick.choice([(1, 3), (8, 17), (250, 300)])
        format = tarfile.PAX_FORMAT if xattrs else pick.choice(FORMATS)
        info.pax_headers = {f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape")
                            for key, value in (xattrs or {}).items()}
        try:
            header = info.tobuf(format, "utf-8", "surrogateescape")
        except ValueError:  # more than the format can say
            info.mtime = int(info.mtime)
            header = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        self.out.write(header + content + bytes(-len(content) % 512))

    def xattrs(self, kind):
        pick, found = self.pick, {}
        if pick.random() < .2:
            found["user.note"] = pick.choice([b"n", b"\x00\xff=\n", b"x" * 300])
        if pick.random() < .1:
            found["trusted.note"] = b"t"
        if kind == "file" and pick.random() < .2:
            found["security.capability"] = CAPABILITY
        return found

    def content(self):
        return self.pick.choice([b"", b"x", b"text\n" * 300, self.pick.randbytes(512), self.pick.randbytes(70_000), bytes(100_000)])

    def add(self):
        """One more entry, if what the dice say makes sense."""
        kind, path = self.pick.choice(KINDS), self.path()
        if self.pick.random() < .3:
            path = self.known(("file", "dir", "symlink", "fifo"), self.tree) or path
        if self.way_is_clear(path) and not self.is_aliased(path):
            getattr(self, f"add_{kind}")(path)

    def add_file(self, path):
        self.write(path, self.pick.choice([tarfile.REGTYPE, tarfile.REGTYPE, tarfile.AREGTYPE]), self.content(),
                   xattrs=self.xattrs("file"))
        self.place(path, "file")

    def add_dir(self, path):
        # A name that something lies in already must be a directory below, else it is another one for some readers.
        self.write(path + self.pick.choice(["", "/"]), tarfile.DIRTYPE, mode=self.pick.choice([0o755, 0o700, 0o1777, 0o750]),
                   xattrs=self.xattrs("dir"))
        self.place(path, "dir")

    def add_symlink(self, path):
        target = self.pick.choice(["a", "../b", "/c", "nowhere/at/all", ".", "/", "x" * 150, self.path()])
        folder = self.known(("dir",), self.tree)
        if folder and self.pick.random() < .5:
            target = f"/{folder}"
        self.write(path, tarfile.SYMTYPE, target=target, mode=0o777)
        self.place(path, "symlink")
        if target == f"/{folder}":
            self.targets[path] = folder

    def add_hardlink(self, path):
        """A name of this layer, or of a layer below that this one says nothing about."""
        files = ("file", "fifo", "symlink", "device")
        target = self.known(files, self.named if self.pick.random() < .6 else self.lower)
        if target is None or target == path or self.tree.get(target) not in files or path in parents(target):
            return
        if target in self.aliased or target not in self.named and not self.untouched(target):
            return
        self.write(path, tarfile.LNKTYPE, target=self.pick.choice(["", "./"]) + target)
        self.place(path, self.tree[target])

    def untouched(self, path):
        """What is there is of the layers below, and nothing of this one was in its way."""
        hidden = any(path == gone or path.startswith(f"{gone}/") for gone in self.hidden)
        return not hidden and all(self.named.get(parent, "dir") == "dir" for parent in parents(path))

    def add_fifo(self, path):
        self.write(path, tarfile.FIFOTYPE)
        self.place(path, "fifo")

    def add_device(self, path):
        self.write(path, self.pick.choice([tarfile.CHRTYPE, tarfile.BLKTYPE]))
        self.place(path, "device")

    def add_whiteout(self, _):
        """Of something below. What the layer itself says about it stays, before or after."""
        path = self.known(("file", "dir", "symlink", "fifo", "device"), self.lower)
        if path is None or path not in self.tree or self.is_aliased(path) or self.half_entered(path) or not self.way_is_clear(path):
            return
        folder, _, name = path.rpartition("/")
        self.write(f"{folder}/.wh.{name}".lstrip("/"), tarfile.REGTYPE, mode=0)
        self.hide(path, below=False)

    def add_opaque(self, _):
        path = self.known(("dir",), self.lower)
        if path is None or self.is_aliased(path) or self.half_entered(path) or self.tree.get(path) != "dir" or not self.way_is_clear(path):
            return
        self.write(f"{path}/.wh..wh..opq", tarfile.REGTYPE, mode=0)
        self.hide(path, below=True)

    def hide(self, path, below):
        for name in [name for name in self.tree if name.startswith(f"{path}/") or name == path and not below]:
            if name not in self.named:
                del self.tree[name]
        self.hidden.add(path)
        self.entered.update([path, *parents(path)] if below else parents(path))

    def add_through_link(self, _):
        """A file below a symbolic link of a lower layer, or of this one: it lies where the link leads."""
        link = self.known(("symlink",), {path: kind for path, kind in self.tree.items() if path in self.targets})
        if link is None:
            return
        place = f"{self.targets[link]}/{self.pick.choice('abcd')}"
        if self.tree.get(self.targets[link]) != "dir" or not self.way_is_clear(place) or place in self.tree:
            return
        self.write(f"{link}/{place.rpartition('/')[2]}", tarfile.REGTYPE, self.content())
        self.place(place, "file")
        self.aliased.update([place, link])

    def bytes(self):
        return self.out.getvalue() + bytes(1024)


def layers(seed, count=None):
    """Uncompressed tars, oldest first."""
    pick = random.Random(seed)
    tree, targets, made = {}, {}, []
    for _ in range(count or pick.randint(2, 5)):
        layer = Layer(pick, tree, targets)
        for _ in range(pick.choice([3, 10, 30])):
            layer.add()
        tree = layer.tree
        made.append(layer.bytes())
    return made


def compress(pick, tar):
    """(bytes, suffix of the media type) in one of the forms that layers have."""
    form = pick.choice(["plain", "gzip", "members", "zstd"])
    if form == "plain":
        return tar, ""
    if form == "zstd":
        return subprocess.run(["zstd", "-qc"], input=tar, stdout=subprocess.PIPE, check=True).stdout, "+zstd"
    cuts = sorted(pick.randrange(len(tar)) for _ in range(pick.randint(1, 5))) if form == "members" else []
    return b"".join(gzip.compress(tar[begin:end], pick.choice([0, 1, 9])) for begin, end in zip([0, *cuts], [*cuts, len(tar)])), "+gzip"
