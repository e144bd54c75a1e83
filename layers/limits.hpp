// What we accept from an archive that somebody else made. One value for everything that reads foreign tars.
#pragma once

#include <cstddef>
#include <cstdint>

namespace imgbuild::layers {

/// The defaults are far above real images and far below what would hurt the machine.
struct ArchiveLimits {
    std::uint64_t entries = 4'000'000;
    /// Of a name or a link target. The kernel takes no longer path in one call.
    std::size_t path_bytes = 4095;
    /// All pax records of one entry together, and so its extended attributes.
    std::size_t pax_bytes = 1U << 20;
    std::size_t global_pax_bytes = 1U << 20;
    /// Contents of all files together, holes included.
    std::uint64_t content_bytes = 512ULL << 30;
    std::size_t sparse_segments = 1'000'000;
    /// Bytes that one compressed byte may become, once `expansion_free` bytes have come out.
    std::uint64_t expansion = 2000;
    std::uint64_t expansion_free = 1ULL << 30;
};

}  // namespace imgbuild::layers
