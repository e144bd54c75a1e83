// Making room: removing from a store what is not needed, safely beside any number of builds.
#pragma once

#include <cstdint>
#include <string>

namespace imgbuild::layers {

enum class PruneScope {
    /// Layers and blobs that belong to no image of the store: what the cache keeps between builds.
    unused,
    /// Images with their names, and so all layers and blobs, cache mounts, logs and checksums.
    all,
};

struct PruneReport {
    std::uint64_t images = 0;
    std::uint64_t layers = 0;
    std::uint64_t blobs = 0;
    /// Of the disk, as its file system counts them; what other files share with ours counts as ours.
    std::uint64_t bytes = 0;
    /// Layers and blobs that builds under way hold, and that are therefore still there.
    std::uint64_t held = 0;
};

/// Opens the store at `root`, sweeps it and removes what `scope` says, but for what live leases pin. Where one is live,
/// cache mounts stay as well, since its steps may have them open. Runs beside builds: they find less in the cache, and
/// nothing goes away under their hands. Killed at any point it leaves garbage in tmp/, which the next opener sweeps.
/// Throws IoError; Error ("store.too-new").
PruneReport prune(const std::string& root, PruneScope scope);

}  // namespace imgbuild::layers
