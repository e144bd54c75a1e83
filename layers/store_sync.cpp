// What a loss of power may take, and when it no longer can (docs/store-format.md, "Durability").
#include "layers/store.hpp"

#include <imgbuild/error.hpp>

#include "layers/store_access.hpp"
#include "layers/unwritten.hpp"

#include <unistd.h>

namespace imgbuild::layers {

// What is published while syncfs() runs may or may not be on the disk afterwards; hence the point, taken before.
void Store::sync() {
    StoreData& data = *state_->data;
    const SyncPoint point = data.index().read([](Tables& tables) { return tables.sync_point(); });
    // A build that found everything has nothing to wait for.
    if (!data.index().read([](Tables& tables) { return tables.has_unsynced(); })) return;
    util::check(::syncfs(data.directory()), "sync the file system of", data.root());
    data.index().write([&](Tables& tables) { tables.mark_synced(point); });
}

void Store::settle() {
    // A disk takes this in a few milliseconds; what a large build has written can take it seconds.
    constexpr std::uint64_t kLittle = 4U << 20;
    const auto waiting = unwritten_bytes();
    if (waiting && *waiting <= kLittle) sync();
}

}  // namespace imgbuild::layers
