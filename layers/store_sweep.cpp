// Sweeping: what killed processes left is moved to tmp/dead-…, then removed.
//
// Moving is done under the sweep lock, by one process at a time, and is quick. Removing large trees is not, so it comes
// after, without that lock; what a removal leaves, for whatever reason, is still called dead-… and taken next time.
//
// An object without a row can only be a killed publisher's, or a damaged one that was dropped, as publishers rename
// while they hold the index's write lock (layers/lease.cpp). A killed publisher also leaves a dead lease, so objects
// are compared with rows only when one was found; that keeps opening cheap in a store with many objects.
#include "layers/store_data.hpp"

#include <imgbuild/error.hpp>

#include "util/rooted_dir.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>

namespace imgbuild::layers {
namespace {

constexpr std::size_t kKeptLogs = 200;

// The lock of something that may vanish under our eyes; nothing also if it did.
std::optional<util::FileLock> lock_if_free(const std::string& path) {
    try {
        return util::FileLock::try_acquire(path, util::FileLock::Kind::exclusive);
    } catch (const IoError& error) {
        if (error.error_number() == ENOENT) return std::nullopt;
        throw;
    }
}

bool retire_dead_leases(StoreData& store) {
    bool any = false;
    for (const std::string& name : names_in(store.temporary(""))) {
        const std::string path = store.temporary(name);
        if (name.starts_with("new-")) {
            store.retire(path);
        } else if (name.starts_with("lease-")) {
            const auto lock = lock_if_free(path + "/lock");
            if (!lock) continue;
            store.retire(path);
            any = true;
        }
    }
    return any;
}

// A lease's directory is there before its first pin, so pins without a directory are nobody's.
void drop_dead_pins(StoreData& store) {
    const auto leases = store.index().read([](Tables& tables) { return tables.pinning_leases(); });
    std::vector<std::string> dead;
    for (const std::string& lease : leases) {
        if (!path_exists(store.temporary(lease))) dead.push_back(lease);
    }
    if (dead.empty()) return;
    store.index().write([&](Tables& tables) {
        for (const std::string& lease : dead) tables.drop_pins(lease);
    });
}

// Who claims holds the sweep lock shared while he opens and locks the file, so he never locks one that we unlink.
void remove_free_claims(StoreData& store) {
    for (const std::string& name : names_in(store.claims_path())) {
        const std::string path = store.claims_path() + "/" + name;
        if (lock_if_free(path)) util::check(::unlink(path.c_str()), "remove", path);
    }
}

void retire_old_logs(StoreData& store) {
    // Their names begin with the time.
    const std::vector<std::string> names = names_in(store.root() + "/logs");
    if (names.size() <= kKeptLogs) return;
    for (std::size_t i = 0; i < names.size() - kKeptLogs; ++i) {
        if (!is_log_of_live_lease(store, names[i])) store.retire(store.root() + "/logs/" + names[i]);
    }
}

bool is_hex(const std::string& name, std::size_t length) {
    return name.size() == length && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

void retire_orphans(StoreData& store) {
    store.index().write([&](Tables& tables) {
        for (const std::string& name : names_in(store.root() + "/layers")) {
            const LayerId id(name);
            if (is_hex(name, 32) && !tables.layer(id) && !tables.is_layer_pinned(id))
                store.retire(store.layer_path(id));
        }
        for (const std::string& name : names_in(store.root() + "/blobs/sha256")) {
            const auto digest = Digest::parse("sha256:" + name);
            if (digest && !tables.blob(*digest) && !tables.is_blob_pinned(*digest)) {
                store.retire(store.blob_path(*digest));
            }
        }
    });
}

void remove_dead(StoreData& store) {
    // Somebody else at it takes ours too, or the next opener does.
    const auto lock = lock_if_free(store.temporary("remove.lock"));
    if (!lock) return;
    for (const std::string& name : names_in(store.temporary(""))) {
        if (!name.starts_with("dead-")) continue;
        try {
            util::remove_all(store.temporary(name));
        } catch (const IoError&) {
            // Its lease may be removing it as well; or it holds files of ids that are not ours outside of a user
            // namespace. It is in nobody's way, so a build does not fail for it; the next opener tries again.
        }
    }
}

}  // namespace

bool has_live_lease(const StoreData& store) {
    const std::vector<std::string> names = names_in(store.temporary(""));
    return std::any_of(names.begin(), names.end(), [](const std::string& name) { return name.starts_with("lease-"); });
}

bool is_log_of_live_lease(const StoreData& store, const std::string& name) {
    const std::size_t lease = name.find("lease-");
    return lease != std::string::npos && path_exists(store.temporary(name.substr(lease)));
}

void sweep(StoreData& store) {
    {
        const auto guard = util::FileLock::acquire(store.sweep_lock_path(), util::FileLock::Kind::exclusive);
        const bool found_dead = retire_dead_leases(store);
        unless_disk_is_full([&] { drop_dead_pins(store); });
        remove_free_claims(store);
        retire_old_logs(store);
        if (found_dead) unless_disk_is_full([&] { retire_orphans(store); });
    }
    remove_dead(store);
}

}  // namespace imgbuild::layers
