"""File trees as values that can be compared, read from directories, tars and stacks of layers.

A tree is {path: Node}; paths are relative without "./", the root is "". Hard links share one Node.
"""
import hashlib
import os
import stat
import tarfile

from expect import Failure

XATTR = "SCHILY.xattr."


class Node:
    """One inode. `content` is (size, sha256) of a file, the target of a link, (major, minor) of a device."""

    __slots__ = ("type", "mode", "owner", "content", "xattrs", "mtime")

    def __init__(self, kind, mode, owner, content=None, xattrs=None, mtime=0):
        self.type, self.mode, self.owner, self.content, self.mtime = kind, mode, owner, content, mtime
        self.xattrs = xattrs or {}

    def facts(self):
        """All that makes two nodes the same. The mode of a symbolic link means nothing."""
        shown = {"type": self.type, "owner": self.owner, "content": self.content, "xattrs": self.xattrs}
        if self.type != "symlink":
            shown["mode"] = oct(self.mode)
        if self.type != "dir":  # mounting and listing touch the times of directories
            shown["mtime"] = self.mtime
        return shown


def digest(stream):
    """(size, sha256) of what a stream yields."""
    sha, size = hashlib.sha256(), 0
    while True:
        part = stream.read(1 << 20)
        if not part:
            return size, sha.hexdigest()
        sha.update(part)
        size += len(part)


# ---------------------------------------------------------------- a directory

def of_directory(top):
    """The tree below a directory, as this process sees it."""
    top = os.fspath(top)
    tree, inodes = {}, {}
    for folder, directories, files in os.walk(top):
        names = [(os.path.relpath(folder, top), folder)] if folder == top else []
        names += [(os.path.relpath(os.path.join(folder, name), top), os.path.join(folder, name))
                  for name in directories + files]
        for name, path in names:
            status = os.lstat(path)
            inode = (status.st_dev, status.st_ino)
            if inode not in inodes or stat.S_ISDIR(status.st_mode):
                inodes[inode] = _node_of_path(path, status)
            tree["" if name == "." else name] = inodes[inode]
    return tree


def _node_of_path(path, status):
    mode, content = status.st_mode, None
    if stat.S_ISREG(mode):
        kind = "file"
        with open(path, "rb") as stream:
            content = digest(stream)
    elif stat.S_ISLNK(mode):
        kind, content = "symlink", os.readlink(path)
    elif stat.S_ISDIR(mode):
        kind = "dir"
    elif stat.S_ISFIFO(mode):
        kind = "fifo"
    else:
        kind = "char" if stat.S_ISCHR(mode) else "block"
        content = (os.major(status.st_rdev), os.minor(status.st_rdev))
    xattrs = {name: os.getxattr(path, name, follow_symlinks=False)
              for name in os.listxattr(path, follow_symlinks=False)}
    return Node(kind, stat.S_IMODE(mode), (status.st_uid, status.st_gid), content, xattrs, int(status.st_mtime))


# ---------------------------------------------------------------- tars and layers

def of_tar(stream):
    """The tree of one tar that is no layer: a name like ".wh.x" is a file like any other."""
    tree = {}
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            _put(tree, _clean(member.name), tar, member)
    return tree


def apply_layer(tree, stream):
    """Changes a tree as one layer's tar says. Whiteouts speak of the layers below, so they go first."""
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        members = [(_clean(member.name), member) for member in tar]
        for path, _ in members:
            folder, _, name = path.rpartition("/")
            if name == ".wh..wh..opq":
                _remove_below(tree, folder)
            elif name.startswith(".wh."):
                gone = f"{folder}/{name[4:]}".lstrip("/")
                tree.pop(gone, None)
                _remove_below(tree, gone)
        for path, member in members:
            if not path.rpartition("/")[2].startswith(".wh."):
                _put(tree, path, tar, member)


def _clean(name):
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or name.startswith("/"):
        raise Failure(f"a layer names {name!r}")
    return "/".join(parts)


def _remove_below(tree, path):
    prefix = f"{path}/" if path else ""
    for name in [name for name in tree if name.startswith(prefix) and name != path]:
        del tree[name]


def _put(tree, path, tar, member):
    node = tree[_clean(member.linkname)] if member.islnk() else _node_of_member(tar, member)
    if path in tree and tree[path].type == "dir" and node.type != "dir":
        _remove_below(tree, path)
    parts = path.split("/")
    for length in range(1, len(parts)):  # parents that no entry names
        parent = "/".join(parts[:length])
        if parent in tree and tree[parent].type != "dir":
            raise Failure(f"{path!r} lies below {parent!r}, which is a {tree[parent].type}")
        tree.setdefault(parent, Node("dir", 0o755, (0, 0)))
    tree[path] = node


def _node_of_member(tar, member):
    content = None
    if member.isreg():
        kind, content = "file", digest(tar.extractfile(member))
    elif member.issym():
        kind, content = "symlink", member.linkname
    elif member.isdir():
        kind = "dir"
    elif member.isfifo():
        kind = "fifo"
    elif member.ischr() or member.isblk():
        kind, content = ("char" if member.ischr() else "block"), (member.devmajor, member.devminor)
    else:
        raise Failure(f"{member.name!r} has the tar type {member.type!r}")
    xattrs = {name[len(XATTR):]: value.encode("utf-8", "surrogateescape")
              for name, value in member.pax_headers.items() if name.startswith(XATTR)}
    return Node(kind, member.mode & 0o7777, (member.uid, member.gid), content, xattrs, int(member.mtime))


# ---------------------------------------------------------------- comparing

def hard_links(tree):
    """{path: the first path of the same inode} for all files with more than one name."""
    groups = {}
    for path, node in sorted(tree.items()):
        if node.type != "dir":
            groups.setdefault(id(node), []).append(path)
    return {path: paths[0] for paths in groups.values() if len(paths) > 1 for path in paths}


def differences(left, right, ignore=()):
    """Lines that tell how two trees differ; paths in `ignore` and all below them are left out ("": only the root)."""
    def counts(path):
        return not any(path == skipped or skipped and path.startswith(f"{skipped}/") for skipped in ignore)
    lines = []
    links_left, links_right = hard_links(left), hard_links(right)
    for path in sorted(filter(counts, left.keys() | right.keys())):
        if path not in right:
            lines.append(f"{path}: only in the first ({left[path].type})")
        elif path not in left:
            lines.append(f"{path}: only in the second ({right[path].type})")
        else:
            one, two = left[path].facts(), right[path].facts()
            lines += [f"{path}: {key} is {one.get(key)} in the first, {two.get(key)} in the second"
                      for key in one.keys() | two.keys() if one.get(key) != two.get(key)]
            if links_left.get(path) != links_right.get(path):
                lines.append(f"{path}: hard link of {links_left.get(path)} in the first, "
                             f"{links_right.get(path)} in the second")
    return lines


def require_same(left, right, what, ignore=()):
    lines = differences(left, right, ignore)
    if lines:
        more = f"\n  … and {len(lines) - 20} more" if len(lines) > 20 else ""
        raise Failure(f"{what}: {len(lines)} difference(s)\n  " + "\n  ".join(lines[:20]) + more)
