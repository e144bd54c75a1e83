// Where a block holds noise: bytes that no compressor makes smaller, as those of archives, pictures and the like. They
// cost most of a compressor's time, for nothing. Private to layers/.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace imgbuild::layers {

struct Run {
    std::size_t size = 0;
    bool is_noise = false;

    friend bool operator==(const Run&, const Run&) = default;
};

/// Cuts a block into runs, alternating, none of them empty; none at all for an empty block. Pure, and part of what a
/// blob's bytes follow from (Codec::codec_id), as rule "noise1":
///
/// - A piece of 4 KiB, counted from the block's beginning, is noise if its bytes are spread as evenly as chance would
///   have it (chi-squared of the whole at most 600, and the sum of squares of its first 1024 bytes at most 8192), and
///   fewer than 16 of the places that are multiples of 4 (but the last of a block) begin four bytes that began within
///   32 KiB before. For that a table of 2^14 places, by the top bits of the four bytes as a little-endian number times
///   2654435761, holds the latest place of the evenly spread pieces so far.
/// - Eight such pieces in a row and more are a run of noise. DEFLATE looks back 32 KiB, so what follows loses nothing
///   by beginning anew.
std::vector<Run> find_noise(std::span<const std::byte> block);

}  // namespace imgbuild::layers
