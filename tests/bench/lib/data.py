"""What is built from, made from a seed: the same bytes on every machine."""
import functools
import gzip
import hashlib
import io
import json
import multiprocessing
import os
import pathlib
import random
import tarfile

import busybox

POOL_BYTES = 4 << 20


@functools.cache
def text(seed, size=POOL_BYTES):
    """Bytes that compress to about half, as programs and documents do."""
    source = random.Random(seed)
    words = [source.randbytes(source.randrange(4, 12)) + b" " for _ in range(3000)]
    out = bytearray()
    while len(out) < size:
        out += words[source.randrange(len(words))]
    return bytes(out[:size])


def poor(seed, size):
    """Bytes that hardly compress (to about 7/8): of every 64 KiB a quarter is text."""
    source, pool = random.Random(seed), text(seed)
    out = bytearray()
    while len(out) < size:
        start = source.randrange(len(pool) - (16 << 10))
        out += pool[start:start + (16 << 10)] + source.randbytes(48 << 10)
    return bytes(out[:size])


def tree(folder, files, size, seed=1):
    """`files` files of `size` bytes in directories of a hundred, no two alike."""
    pool, source = text(seed), random.Random(seed)
    for n in range(files):
        if n % 100 == 0:
            parent = os.path.join(folder, f"part{n // 10000}", f"dir{n // 100}")
            os.makedirs(parent, exist_ok=True)
        start = source.randrange(len(pool) - size)
        with open(os.path.join(parent, f"file{n}.txt"), "wb") as out:
            out.write((b"%d\n" % n + pool[start:start + size])[:size])


# ------------------------------------------------------------ a large base image

LAYERS = 4


class _Tee(io.RawIOBase):
    """Hashes what passes."""

    def __init__(self, sink):
        self.sink, self.hash, self.size = sink, hashlib.sha256(), 0

    def write(self, block):
        self.hash.update(block)
        self.size += len(block)
        return self.sink.write(block)


def _write_layer(folder, layer, megabytes, files):
    """One layer as a blob, compressed as most registries have it: one gzip member, level 6."""
    source, pool = random.Random(layer), text(layer, 16 << 20)
    temporary = folder / f"layer{layer}"
    with open(temporary, "wb") as out:
        blob = _Tee(out)
        with gzip.GzipFile(fileobj=blob, mode="wb", compresslevel=6, mtime=0, filename="") as packed:
            plain = _Tee(packed)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                for n in range(files):
                    # Sizes as they are in distributions: many small files, a few large ones.
                    size = (megabytes << 20) // files * (1 if n % 4 else 13) // 4
                    info = tarfile.TarInfo(f"usr/share/{layer}/{n % 97}/{n}.dat")
                    info.mtime, info.size = busybox.CREATED_SECONDS, size
                    start = source.randrange(len(pool) - size)
                    tar.addfile(info, io.BytesIO(pool[start:start + size]))
    temporary.rename(folder / blob.hash.hexdigest())
    return blob.hash.hexdigest(), blob.size, plain.hash.hexdigest()


def large_layout(folder, megabytes, files):
    """An OCI layout of busybox and `files` files in some layers; the layout, and the bytes of its compressed layers."""
    layout = busybox.write_layout(pathlib.Path(folder), busybox.CONFIG, [busybox.layer()])
    blobs = layout / "blobs/sha256"
    with multiprocessing.Pool() as pool:
        made = pool.starmap(_write_layer, [(blobs, n, megabytes // LAYERS, files // LAYERS) for n in range(LAYERS)])

    def read(descriptor):
        return json.loads((blobs / descriptor["digest"].partition(":")[2]).read_bytes())

    def put(document, descriptor):
        raw = json.dumps(document).encode()
        digest = hashlib.sha256(raw).hexdigest()
        (blobs / digest).write_bytes(raw)
        return {**descriptor, "digest": f"sha256:{digest}", "size": len(raw)}
    index = json.loads((layout / "index.json").read_text())
    manifest = read(index["manifests"][0])
    config = read(manifest["config"])
    config["history"] *= 1 + LAYERS
    config["rootfs"]["diff_ids"] += [f"sha256:{diff_id}" for _, _, diff_id in made]
    manifest["layers"] += [{**manifest["layers"][0], "digest": f"sha256:{digest}", "size": size} for digest, size, _ in made]
    manifest["config"] = put(config, manifest["config"])
    index["manifests"][0] = put(manifest, index["manifests"][0])
    (layout / "index.json").write_text(json.dumps(index))
    return layout, sum(layer["size"] for layer in manifest["layers"])
