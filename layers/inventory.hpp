// What a store holds, object by object, and what each takes of the disk: the base of `du`, `prune` and the limit.
//
// Layers and blobs are measured once and never change: when they are published, but for trees of very many files, which
// are measured here, as is what an earlier version left unmeasured, and recorded. Cache mounts change with each step
// that uses them, so the size of one holds until the next use. Images take nothing themselves: they need layers and
// blobs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::layers {

enum class ObjectKind { image, layer, blob, mount, log };

/// "image", "layer", …
std::string_view name_of(ObjectKind kind);

struct StoredObject {
    ObjectKind kind = ObjectKind::layer;
    /// An image's or blob's digest ("sha256:…"), a layer's id, a mount's "<hex>/<n>", a log's directory.
    std::string id;
    /// Of the disk (st_blocks), a file with several names once. 0 for an image.
    std::uint64_t bytes = 0;
    /// Nanoseconds since 1970.
    std::int64_t last_used = 0;
    /// A build that is running uses it.
    bool held = false;
    /// How many images that have a name need it; for layers and blobs.
    std::size_t images = 0;
    /// For an image: places in Inventory::objects of the layers and blobs that it needs, sorted. For a layer without a
    /// tree, those of its blobs.
    std::vector<std::size_t> needs;
    /// For an image, sorted.
    std::vector<std::string> names;
    /// A layer's kind of operation ("exec"; empty for a pulled one); a cache mount's id; a blob's or log's nothing.
    std::string what;
    /// A layer's key in words, as JSON; may be empty.
    std::string ingredients;
};

struct Inventory {
    /// Images, then layers, blobs, mounts, logs; within a kind the least recently used first.
    std::vector<StoredObject> objects;
    /// The index, directories, locks.
    std::uint64_t overhead = 0;
    /// What running builds are making, and garbage: tmp/.
    std::uint64_t work = 0;

    /// Of the disk, all of it.
    std::uint64_t total() const;
};

/// Could the object go without an image or a running build missing it?
bool is_reclaimable(const StoredObject& object);

/// Opens the store at `root` and sweeps it. Throws IoError, Error ("store.…").
Inventory take_inventory(const std::string& root);

}  // namespace imgbuild::layers
