// Uncompressed bytes out of compressed ones. The kind is seen from the first bytes, never from a name or media type.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "layers/limits.hpp"
#include "util/bytes.hpp"

namespace imgbuild::layers {

enum class Compression { none, gzip, zstd, bzip2, xz };

/// Wants at least the first 6 bytes; what is none of the others is `none`.
Compression detect_compression(std::span<const std::byte> head);

/// A source that yields what `compressed` holds. gzip members and zstd frames may be many; zstd's skippable frames and
/// zero padding after gzip members are passed over. Throws CorruptData ("corrupt.compressed") for damaged or short
/// data, and "corrupt.archive-limit" for more expansion than `limits` allow. `compressed` must outlive it. For image
/// layers, the media types of which are plain, gzip and zstd: others are refused.
std::unique_ptr<util::Source> open_layer_blob(util::Source& compressed, const ArchiveLimits& limits = {});
/// For ADD and contexts: bzip2 and xz as well (through libarchive).
std::unique_ptr<util::Source> open_compressed(util::Source& compressed, const ArchiveLimits& limits = {});

}  // namespace imgbuild::layers
