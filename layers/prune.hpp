// Making room: removing from a store what is not needed, safely beside any number of builds.
//
//     const PruneReport report = prune(root, PruneRules::unused());          // what `imgbuild prune` does
//     PruneRules rules = PruneRules::unused();
//     rules.keep_bytes = 10'000'000'000;                                     // least recently used first, until it
//     fits
#pragma once

#include "layers/inventory.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace imgbuild::layers {

struct PruneRules {
    /// Layers and blobs that no image needs, and images that have no name: what the cache keeps between builds.
    static PruneRules unused();
    /// Images with their names, and so all layers and blobs, cache mounts, logs and what is remembered.
    static PruneRules everything();

    /// What may go at all.
    std::set<ObjectKind> kinds;
    /// Images that have a name, too; if images may go.
    bool named_images = false;
    /// What is remembered of the user's files, of names of registries, and of what commands took.
    bool memories = false;
    /// Only what was last used before; nanoseconds since 1970.
    std::optional<std::int64_t> unused_since;
    /// Only until the whole store takes no more bytes of the disk than this, least recently used first.
    std::optional<std::uint64_t> keep_bytes;
};

/// Places in Inventory::objects, in the order in which they go. Pure. An image goes only once nothing else is left to
/// go, since it is what others are kept for; one without a name before one that has one.
std::vector<std::size_t> plan_prune(const Inventory& inventory, const PruneRules& rules);

struct PruneReport {
    std::uint64_t images = 0;
    std::uint64_t layers = 0;
    std::uint64_t blobs = 0;
    std::uint64_t mounts = 0;
    std::uint64_t logs = 0;
    /// Of the disk, as its file system counts them; what other files share with ours counts as ours.
    std::uint64_t bytes = 0;
    /// What running builds hold and would have gone otherwise.
    std::uint64_t held = 0;
    /// What the store takes afterwards, without what running builds are making.
    std::uint64_t left = 0;
    /// Of `left`, what are neither layers nor blobs.
    std::uint64_t outside = 0;
    /// What went, or would go.
    std::vector<StoredObject> objects;
};

enum class PruneMode { remove, only_tell };

class StoreData;

/// Opens the store at `root`, sweeps it and removes what `rules` say, but for what live leases pin; a cache mount stays
/// if a step has it, or its log if its build runs. Runs beside builds: they find less in the cache, and nothing goes
/// away under their hands. Killed at any point it leaves garbage in tmp/, which the next opener sweeps. Throws IoError;
/// Error ("store.too-new").
PruneReport prune(const std::string& root, const PruneRules& rules, PruneMode mode = PruneMode::remove);
/// The same for a store that is open and was swept.
PruneReport prune(StoreData& store, const PruneRules& rules, PruneMode mode);

}  // namespace imgbuild::layers
