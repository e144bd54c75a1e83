// One transaction decides, with the write lock held: what is not pinned then cannot be looked up any more by the time
// anybody gets the lock, so its directory can be moved aside. Measuring comes before and removing after, without the
// lock.
#include "layers/prune.hpp"

#include <imgbuild/error.hpp>

#include "layers/accounting.hpp"

#include <fmt/format.h>

#include <utility>

namespace imgbuild::layers {

std::string drop_object(StoreData& store, Tables& tables, const StoredObject& object) {
    switch (object.kind) {
        case ObjectKind::image:
            tables.drop_image(Digest::require(object.id, "an image"));
            return {};
        case ObjectKind::layer:
            tables.drop_layer(LayerId(object.id));
            return store.retire(store.layer_path(LayerId(object.id)));
        case ObjectKind::blob:
            tables.drop_blob(Digest::require(object.id, "a blob"));
            return store.retire(store.blob_path(Digest::require(object.id, "a blob")));
        case ObjectKind::mount:
            tables.drop_mount_size(object.id);
            return {};
        case ObjectKind::log:
            return {};
    }
    std::unreachable();
}

namespace {

class Pruning {
public:
    Pruning(StoreData& store, const PruneRules& rules, PruneMode mode) : store_(store), rules_(rules), mode_(mode) {}

    PruneReport run() {
        measure_objects(store_);
        const MeasuredFiles files = measure_files(store_);
        if (mode_ == PruneMode::only_tell) {
            take(store_.index().read([&](Tables& tables) { return list_objects(tables, files); }));
            return std::move(report_);
        }
        try {
            drop_rows(files);
        } catch (const Error& error) {
            if (error.code() != "resources.disk-full") throw;
            // The index had no room to forget what has been moved aside already. Without their objects those rows are
            // misses to everybody, so the objects can go; then there is room.
            remove_retired();
            report_ = {};
            drop_rows(files);
        }
        remove_files();
        remove_retired();
        return std::move(report_);
    }

private:
    void drop_rows(const MeasuredFiles& files) {
        store_.index().write([&](Tables& tables) {
            take(list_objects(tables, files));
            drop(tables);
        });
    }

    void remove_retired() {
        for (const std::string& path : retired_) util::remove_all(path);
        retired_.clear();
    }

    void take(const Inventory& inventory) {
        report_.left = inventory.total();
        for (const std::size_t i : plan_prune(inventory, rules_)) {
            const StoredObject& object = inventory.objects[i];
            ++counter(object.kind);
            report_.bytes += object.bytes;
            report_.objects.push_back(object);
        }
        report_.left -= report_.bytes;
        report_.outside = inventory.overhead;
        for (const StoredObject& object : inventory.objects) {
            if (is_outside(object)) report_.outside += object.bytes;
        }
        for (const StoredObject& object : report_.objects) {
            if (is_outside(object)) report_.outside -= object.bytes;
        }
        Inventory released = inventory;
        for (StoredObject& object : released.objects) object.held = false;
        for (const std::size_t i : plan_prune(released, rules_)) report_.held += inventory.objects[i].held ? 1 : 0;
    }

    static bool is_outside(const StoredObject& object) {
        return object.kind == ObjectKind::mount || object.kind == ObjectKind::log;
    }

    void drop(Tables& tables) {
        if (rules_.memories) tables.drop_memories();
        tables.drop_old_checksums();
        for (const StoredObject& object : report_.objects) {
            if (std::string aside = drop_object(store_, tables, object); !aside.empty())
                retired_.push_back(std::move(aside));
        }
        tables.drop_lost_forms();
    }

    // Whoever makes a lease holds the sweep lock shared, so none begins while we look.
    void remove_files() {
        const auto guard = util::FileLock::acquire(store_.sweep_lock_path(), util::FileLock::Kind::exclusive);
        const bool idle = !has_live_lease(store_);
        for (const StoredObject& object : report_.objects) {
            const bool gone = object.kind == ObjectKind::mount ? remove_mount(object.id, idle)
                              : object.kind == ObjectKind::log ? remove_log(object.id)
                                                               : true;
            if (gone) continue;
            --counter(object.kind);
            ++report_.held;
            report_.bytes -= object.bytes;
            report_.left += object.bytes;
            report_.outside += object.bytes;
        }
        if (idle && rules_.kinds.contains(ObjectKind::mount)) remove_empty_mounts();
        if (rules_.memories && path_exists(store_.root() + "/resolved")) retire(store_.root() + "/resolved");
    }

    // A build may have taken it since we looked. Its lock file stays, as somebody may just have opened it.
    bool remove_mount(const std::string& id, bool idle) {
        const std::string path = store_.root() + "/mounts/" + id;
        const auto lock = util::FileLock::try_acquire(path + "/lock", util::FileLock::Kind::exclusive);
        if (!lock) return false;
        retire(idle ? path : path + "/data");
        return true;
    }

    bool remove_log(const std::string& name) {
        if (is_log_of_live_lease(store_, name)) return false;
        retire(store_.root() + "/logs/" + name);
        return true;
    }

    // Those without a cache in them, which nobody can be about to use while no lease lives.
    void remove_empty_mounts() {
        const std::string mounts = store_.root() + "/mounts";
        for (const std::string& identity : names_in(mounts)) {
            const std::string mount = fmt::format("{}/{}", mounts, identity);
            bool empty = true;
            for (const std::string& number : names_in(mount)) {
                empty = empty && !path_exists(fmt::format("{}/{}/data", mount, number));
            }
            if (empty) retire(mount);
        }
    }

    std::uint64_t& counter(ObjectKind kind) {
        switch (kind) {
            case ObjectKind::image:
                return report_.images;
            case ObjectKind::layer:
                return report_.layers;
            case ObjectKind::blob:
                return report_.blobs;
            case ObjectKind::mount:
                return report_.mounts;
            case ObjectKind::log:
                return report_.logs;
        }
        std::unreachable();
    }

    void retire(const std::string& path) { retired_.push_back(store_.retire(path)); }

    StoreData& store_;
    const PruneRules& rules_;
    PruneMode mode_;
    PruneReport report_;
    /// Where it went in tmp/.
    std::vector<std::string> retired_;
};

}  // namespace

PruneReport prune(const std::string& root, const PruneRules& rules, PruneMode mode) {
    StoreData store(root);
    sweep(store);
    return prune(store, rules, mode);
}

PruneReport prune(StoreData& store, const PruneRules& rules, PruneMode mode) {
    return Pruning(store, rules, mode).run();
}

}  // namespace imgbuild::layers
