// Incremental repacking: a block of a layer's tar that was compressed before is taken from the blob it went into. The
// result is the same as from packing everything anew, so whoever remembers blocks may forget any of them at any time.
//
// A block is looked for by a print of it. That is no digest: a sha256 of every block would cost a sixteenth of what
// compressing it at level 4 of gzip does, and a tenth of what zstd takes, for nothing where blocks are new. The print
// costs a sixth of that. What it leads to is proven by inflating it (makes_block()), which takes an eighth to a quarter
// of the time of compressing it, and only where there is something to gain.
//
// layers/block_table.hpp remembers blocks in the store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace imgbuild::layers {

struct Codec;

/// Equal blocks have equal prints. Different blocks mostly have different ones, unless somebody wants otherwise.
struct BlockPrint {
    /// CRC-32 and Adler-32.
    std::uint64_t sums = 0;
    /// Bytes of the block.
    std::size_t size = 0;
};

BlockPrint print_of(std::span<const std::byte> block);

/// Is `compressed` complete, and does it inflate to `block`? By which level and library it was made cannot be told.
bool makes_block(const Codec& codec, std::span<const std::byte> compressed, std::span<const std::byte> block);

/// What a BlockCompressor asks and tells about the blocks of one blob, all of one codec.
class BlockReuse {
public:
    BlockReuse() = default;
    BlockReuse(const BlockReuse&) = delete;
    BlockReuse& operator=(const BlockReuse&) = delete;
    virtual ~BlockReuse() = default;

    /// What compress_block() makes of `block`, proven; or nothing, whatever the reason. Called by several threads.
    virtual std::optional<std::vector<std::byte>> find(const BlockPrint& print, std::span<const std::byte> block) = 0;
    /// Each block of the blob in its order, found or not. Called by one thread.
    virtual void note(const BlockPrint& print, std::span<const std::byte> compressed) = 0;
};

}  // namespace imgbuild::layers
