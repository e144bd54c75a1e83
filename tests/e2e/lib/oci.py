"""Read OCI layouts, directories or archives, without trusting or using anything of imgbuild."""
import gzip
import hashlib
import json
import pathlib
import shutil
import subprocess
import tarfile
import tempfile

import trees
from expect import Failure, equal, expect


class Image:
    """One verified image: digest of its manifest, `manifest`, `config` and its layers as files."""

    def __init__(self, digest, manifest, config, layers, annotations):
        self.digest, self.manifest, self.config, self._layers = digest, manifest, config, layers
        self.annotations = annotations

    @property
    def id(self):
        """The digest of the config, which names the image in the store."""
        return self.manifest["config"]["digest"]

    @property
    def settings(self):
        """The part of the config that a run obeys."""
        return self.config.get("config") or {}

    def tree(self):
        """All layers applied in order."""
        tree = {}
        for layer in self._layers:
            layer.seek(0)
            trees.apply_layer(tree, layer)
        return tree

    def layer_tree(self, index):
        """One layer's own entries; whiteouts are plain files here."""
        self._layers[index].seek(0)
        return trees.of_tar(self._layers[index])

    def layer_count(self):
        return len(self._layers)

    def read(self, path):
        """The content of a file, from the newest layer that has it."""
        for layer in reversed(self._layers):
            layer.seek(0)
            with tarfile.open(fileobj=layer, mode="r:") as tar:
                for member in tar:
                    if trees._clean(member.name) == path and member.isreg():
                        return tar.extractfile(member).read()
        raise Failure(f"no layer has the file {path!r}")

    def mentions(self, text):
        """Whether the config or any layer, unpacked, has these words."""
        wanted, overlap = text.encode(), len(text.encode()) - 1
        if text in json.dumps(self.config, ensure_ascii=False):
            return True
        for layer in self._layers:
            layer.seek(0)
            end = b""
            for part in iter(lambda: layer.read(1 << 20), b""):
                if wanted in end + part:
                    return True
                end = (end + part)[-overlap:]
        return False


class _Directory:
    def __init__(self, path):
        self.path = pathlib.Path(path)

    def open(self, name):
        return open(self.path / name, "rb")


class _Archive:
    def __init__(self, path):
        self.tar = tarfile.open(path, "r:")

    def open(self, name):
        try:
            return self.tar.extractfile(name)
        except KeyError:
            raise Failure(f"the archive has no {name}") from None


def load(path):
    """The only image of a layout. Every digest, size and diff id is checked."""
    store = _Directory(path) if pathlib.Path(path).is_dir() else _Archive(path)
    equal(json.load(store.open("oci-layout")), {"imageLayoutVersion": "1.0.0"}, "oci-layout")
    index = json.load(store.open("index.json"))
    equal(len(index["manifests"]), 1, "the number of manifests")
    descriptor = index["manifests"][0]
    manifest = json.loads(_blob(store, descriptor).read())
    config = json.loads(_blob(store, manifest["config"]).read())
    diff_ids = config["rootfs"]["diff_ids"]
    equal(len(manifest["layers"]), len(diff_ids), "layers against diff ids")
    layers = [_layer(store, layer, diff_id) for layer, diff_id in zip(manifest["layers"], diff_ids)]
    with_layer = [entry for entry in config.get("history", []) if not entry.get("empty_layer")]
    expect(not config.get("history") or len(with_layer) == len(diff_ids), "history and layers do not agree")
    return Image(descriptor["digest"], manifest, config, layers, descriptor.get("annotations") or {})


def _blob(store, descriptor):
    """A verified blob in a temporary file."""
    algorithm, _, value = descriptor["digest"].partition(":")
    equal(algorithm, "sha256", "the digest's algorithm")
    copy = tempfile.TemporaryFile()
    with store.open(f"blobs/sha256/{value}") as source:
        shutil.copyfileobj(source, copy, 1 << 20)
    copy.seek(0)
    equal(trees.digest(copy), (descriptor["size"], value), f"size and digest of {descriptor['digest']}")
    copy.seek(0)
    return copy


def _layer(store, descriptor, diff_id):
    blob, plain = _blob(store, descriptor), tempfile.TemporaryFile()
    kind = descriptor["mediaType"].rpartition("+")[2]
    if kind == "gzip":
        with gzip.open(blob) as stream:
            shutil.copyfileobj(stream, plain, 1 << 20)
    elif kind == "zstd":
        subprocess.run(["zstd", "-dcq"], stdin=blob, stdout=plain, check=True)
    else:
        shutil.copyfileobj(blob, plain, 1 << 20)
    plain.seek(0)
    sha = hashlib.sha256()
    for part in iter(lambda: plain.read(1 << 20), b""):
        sha.update(part)
    equal(f"sha256:{sha.hexdigest()}", diff_id, "a layer's diff id")
    return plain
