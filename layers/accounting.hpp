// The insides of the inventory, for the store's sources: measuring happens without the index's lock, listing with it.
#pragma once

#include "layers/inventory.hpp"
#include "layers/store_data.hpp"

#include <string>

namespace imgbuild::layers {

/// What lies outside of the index: cache mounts and logs, measured, and the rest of the store's own files.
struct MeasuredFiles {
    std::vector<StoredObject> mounts;
    std::vector<StoredObject> logs;
    std::uint64_t overhead = 0;
};

/// Measures and records layers and blobs that have no size yet.
void measure_objects(StoreData& store);
/// Walks logs, and the cache mounts that were used since they were last measured.
MeasuredFiles measure_files(StoreData& store);
/// Drops the rows of an image, layer, blob or cache mount and moves a layer or a blob aside, within the transaction
/// that decided it. Returns where to, for removal after it; "" if there is nothing to remove.
std::string drop_object(StoreData& store, Tables& tables, const StoredObject& object);
/// `work` stays 0. Reads the index only.
Inventory list_objects(Tables& tables, const MeasuredFiles& files);

}  // namespace imgbuild::layers
