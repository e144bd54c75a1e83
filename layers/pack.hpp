// tree → blob, or context → blob, in one pass and bounded memory:
//     walk → tar → sha256 (diff id) → compress → sha256 (digest) → sink
#pragma once

#include <imgbuild/digest.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>

#include "layers/codec.hpp"
#include "layers/name_index.hpp"
#include "layers/tar_writer.hpp"
#include "util/bytes.hpp"
#include "util/rooted_dir.hpp"

namespace imgbuild::layers {

struct PackedBlob {
    Digest digest;
    std::uint64_t size = 0;
};

struct PackResult {
    DiffId diff_id;
    /// Bytes of the uncompressed tar.
    std::uint64_t tar_size = 0;
    /// Present if a blob was asked for.
    std::optional<PackedBlob> blob;
};

/// Hands a file's contents over by calling `take` once with what yields exactly `entry.size` bytes. Called in path
/// order, for regular files that are not empty.
using GiveContent = std::function<void(const Entry& entry, const std::function<void(util::Source&)>& take)>;

/// The tar of a layer, in path order: metadata from `names`, contents from `give`. Implicit directories are left out.
/// Throws what `give` throws; CorruptData if it yields another number of bytes; Cancelled.
void write_layer_tar(const NameIndex& names, const GiveContent& give, TarStream& out, std::stop_token stop = {});
/// With the contents of a tree. Throws CorruptData ("corrupt.tree") if a file of the tree is missing or has another
/// size.
void write_layer_tar(const NameIndex& names, const util::RootedDir& tree, TarStream& out, std::stop_token stop = {});
/// With the contents of the layer's own blob, compressed or not, which is read to its end. Throws CorruptData
/// ("corrupt.tar") if its files are not those of `names`.
void write_layer_tar(const NameIndex& names, util::Source& blob, TarStream& out, std::stop_token stop = {});

/// A destination for the tar of a layer: write it to stream(), then finish(). Single-threaded for the caller.
class Packer {
public:
    /// Without a blob (nullptr) nothing is compressed: only the diff id and the size are found.
    /// `blob`, if given, gets the bytes of `codec`, from the calling thread. `threads`: for compression; with more than
    /// one, large tars are hashed beside it.
    /// `reuse`, if given, is where unchanged blocks are taken from, and told of all (layers/block_table.hpp).
    Packer(Codec codec, util::Sink* blob, unsigned threads, BlockReuse* reuse = nullptr);
    ~Packer();
    Packer(const Packer&) = delete;
    Packer& operator=(const Packer&) = delete;

    TarStream& stream();
    PackResult finish();

private:
    class State;
    std::unique_ptr<State> state_;
};

/// write_layer_tar() into a Packer.
PackResult pack(const NameIndex& names, const util::RootedDir& tree, Codec codec, util::Sink* blob, unsigned threads,
                std::stop_token stop = {}, BlockReuse* reuse = nullptr);

}  // namespace imgbuild::layers
