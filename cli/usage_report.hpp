// What `du` prints, and `prune --dry-run`.
#pragma once

#include "layers/inventory.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace imgbuild::cli {

/// Of objects of one kind, or of all.
struct UsageSum {
    std::size_t count = 0;
    /// How many an image with a name needs or a running build holds; of images, how many have a name.
    std::size_t in_use = 0;
    std::uint64_t bytes = 0;
    /// Needed by more than one such image.
    std::uint64_t shared = 0;
    std::uint64_t reclaimable = 0;
    /// Nanoseconds since 1970; 0: never.
    std::int64_t last_used = 0;

    void add(const layers::StoredObject& object);
};

/// A line per kind, then the whole. `whole`: the index, directories and work under way are counted in.
std::string render_usage(const layers::Inventory& inventory, bool whole);
/// A line per object, in their order.
std::string render_objects(const std::vector<layers::StoredObject>& objects);
nlohmann::ordered_json usage_json(const layers::Inventory& inventory, bool whole);
nlohmann::ordered_json objects_json(const std::vector<layers::StoredObject>& objects);

/// What an object is, in a few words: "RUN make", "pulled", a cache mount's id, an image's names.
std::string describe(const layers::StoredObject& object);

}  // namespace imgbuild::cli
