// How blobs are compressed, and a pool of threads that does it block by block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "layers/block_cutter.hpp"
#include "layers/block_reuse.hpp"
#include "util/bytes.hpp"

namespace imgbuild::layers {

/// What a blob's bytes follow from, besides the tar.
struct Codec {
    enum class Kind { none, gzip, zstd };
    Kind kind = Kind::gzip;
    /// gzip 1…12 (libdeflate), zstd 1…19; 0 is the default (4 and 3). Not used by `none`.
    int level = 0;

    /// For example "gzip/libdeflate-1.14/4/cut1/noise1", "zstd/libzstd-1.5.4/3/cut1", "none": blobs of one tar with
    /// equal codec ids are equal.
    std::string codec_id() const;
    /// The OCI media type of a layer so compressed.
    std::string_view media_type() const;
    /// Throws UsageError ("usage.bad-compression-level") unless the level is one of the kind's.
    void check() const;

    friend bool operator==(const Codec&, const Codec&) = default;
};

/// One block as gzip members (no name, time 0, system 255), most often one, or a zstd frame (with its size, without
/// checksum).
std::vector<std::byte> compress_block(const Codec& codec, std::span<const std::byte> block);

/// Compresses blocks on some threads and writes them in their order. The bytes do not depend on the number of
/// threads. Holds at most threads + 2 blocks, whatever the speed of `out`.
class BlockCompressor {
public:
    /// `out` is written from the calling thread only. With 1 thread (or 0) everything happens in the calling thread.
    /// `reuse`, which may be nullptr, is of the same codec and outlives this; it saves time and changes no byte.
    BlockCompressor(Codec codec, util::Sink& out, unsigned threads, BlockReuse* reuse = nullptr);
    /// Stops without writing what is left.
    ~BlockCompressor();
    BlockCompressor(const BlockCompressor&) = delete;
    BlockCompressor& operator=(const BlockCompressor&) = delete;

    /// May wait for earlier blocks. Throws what `out` throws, or what a thread threw.
    void add(BlockCutter::Block block);
    /// Writes everything that is left.
    void finish();

private:
    struct Packed;
    class Pool;
    static Packed compress(const Codec& codec, BlockReuse* reuse, std::span<const std::byte> block);
    void write(const Packed& packed);

    Codec codec_;
    util::Sink& out_;
    BlockReuse* reuse_;
    std::unique_ptr<Pool> pool_;
};

}  // namespace imgbuild::layers
