// A lease's layers, claims, images and logs; its blobs are in blob_writer.cpp and lease_blobs.cpp.
#include "layers/store.hpp"

#include <imgbuild/error.hpp>

#include "layers/disk_use.hpp"
#include "layers/store_access.hpp"
#include "layers/store_limit.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>

namespace imgbuild::layers {
namespace {

Error unknown_layer(const LayerId& id) {
    return Error({.code = "store.unknown-layer",
                  .message = fmt::format("the store has no layer {}", id.text()),
                  .hint = "it was found damaged, or the store was cleared while the build ran; build again",
                  .where = {}});
}

// What a new layer takes of the disk. It has just been written, so all of it is in the kernel's caches, but a look at
// each of very many files takes time that a build should not: those are left to whoever asks, unless a limit has to be
// kept.
std::optional<std::uint64_t> measure(const StoreData& store, const std::string& directory, std::size_t names) {
    // Some thousand files.
    constexpr std::size_t kCheapNames = std::size_t{256} << 10;
    if (store.limit() == 0 && names > kCheapNames) return std::nullopt;
    return disk_use(directory);
}

void make_directory(const std::string& path, mode_t mode) {
    util::check(::mkdir(path.c_str(), mode), "make the directory", path);
    util::check(::chmod(path.c_str(), mode), "set the mode of", path);
}

}  // namespace

Lease::Lease(std::unique_ptr<State> state) : state_(std::move(state)) {}
Lease::Lease(Lease&&) noexcept = default;
Lease::~Lease() = default;

UnfinishedLayer Lease::begin_layer() {
    require_room(state_->hold->store(), 0);
    UnfinishedLayer layer(util::TempDir(state_->hold->directory(), "layer-"));
    make_directory(layer.tree(), 0755);
    make_directory(layer.work(), 0755);
    return layer;
}

namespace {

// What is to be published: a directory in tmp/ and what the index is told of it.
struct Publication {
    std::string from;
    LayerFacts facts;
    Tables::Tree tree = Tables::Tree::yes;
    std::optional<BlobForm> form = {};
    std::optional<std::uint64_t> disk = {};
};

// The layer that its key leads to afterwards.
LayerId put_into_place(LeaseHold& hold, const Publication& what, const std::optional<KeyRecord>& record, bool keeps) {
    StoreData& store = hold.store();
    std::vector<std::string> aside;
    const LayerId id(random_name());
    const std::string to = store.layer_path(id);
    bool moved = false;
    LayerId result;
    try {
        result = store.index().write([&](Tables& tables) {
            if (record) {
                const auto other = tables.layer_of_key(record->key);
                if (keeps && other && store.is_layer_present(tables, *other)) {
                    tables.pin_layer(hold.name(), other->id);
                    return other->id;
                }
                if (other && keeps) tables.drop_layer(other->id);
                tables.put_key(*record, id);
            }
            aside = make_room(store, tables, what.disk.value_or(0));
            LayerFacts published = what.facts;
            if (record) published.key = record->key;
            tables.insert_layer(id, published, what.disk, what.tree);
            if (what.form) tables.put_form(published.diff_id.value(), *what.form);
            tables.pin_layer(hold.name(), id);
            // Last, so that of all that can fail only the commit comes after it; and inside, see store_data.hpp.
            util::check(::rename(what.from.c_str(), to.c_str()), "put into place", to);
            moved = true;
            return LayerId(id);
        });
    } catch (...) {
        // Back to where the temporary directory's owner removes it. If that fails, the next sweep finds no row for it.
        if (moved) static_cast<void>(::rename(to.c_str(), what.from.c_str()));
        throw;
    }
    for (const std::string& path : aside) util::remove_all(path);
    return result;
}

// Somebody's layer takes the place of ours, so it had better be whole.
std::optional<LayerId> find_whole(LeaseHold& hold, const Digest& key) {
    return hold.find_layer([&](Tables& tables) { return tables.layer_of_key(key); }, Check::whole);
}

}  // namespace

LayerId Lease::publish(UnfinishedLayer layer, std::string_view names, const LayerFacts& facts,
                       const std::optional<KeyRecord>& record, OnConflict on_conflict) {
    LeaseHold& hold = *state_->hold;
    const bool keeps = on_conflict == OnConflict::keep;
    if (record && keeps) {
        if (const auto other = find_whole(hold, record->key)) return *other;
    }
    Publication what{.from = layer.directory_.path(), .facts = facts};
    write_names(what.from + "/names", names);
    util::remove_all(layer.work());
    util::check(::chmod(what.from.c_str(), 0700), "set the mode of", what.from);
    what.disk = measure(hold.store(), what.from, names.size());
    LayerId result = put_into_place(hold, what, record, keeps);
    // It is elsewhere now, or somebody else's is taken and ours goes.
    if (!path_exists(what.from)) layer.directory_.release();
    return result;
}

LayerId Lease::publish_packed(std::string_view names, const LayerFacts& facts, const BlobForm& form,
                              const KeyRecord& record, OnConflict on_conflict) {
    LeaseHold& hold = *state_->hold;
    const bool keeps = on_conflict == OnConflict::keep;
    if (keeps) {
        if (const auto other = find_whole(hold, record.key)) return *other;
    }
    util::TempDir directory(hold.directory(), "layer-");
    util::check(::chmod(directory.path().c_str(), 0700), "set the mode of", directory.path());
    write_names(directory.path() + "/names", names);
    const Publication what{.from = directory.path(),
                           .facts = facts,
                           .tree = Tables::Tree::no,
                           .form = form,
                           .disk = disk_use(directory.path())};
    LayerId result = put_into_place(hold, what, record, keeps);
    if (!path_exists(what.from)) directory.release();
    return result;
}

bool Lease::has_tree(const LayerId& layer) {
    const auto row = state_->hold->store().index().read([&](Tables& tables) { return tables.layer(layer); });
    if (!row) throw unknown_layer(layer);
    return row->has_tree;
}

void Lease::add_tree(const LayerId& layer, UnfinishedLayer tree, std::string_view names) {
    StoreData& store = state_->hold->store();
    write_names(tree.directory_.path() + "/names", names);
    util::remove_all(tree.work());
    const auto disk = measure(store, tree.directory_.path(), names.size());
    std::vector<std::string> aside;
    store.index().write([&](Tables& tables) {
        const auto row = tables.layer(layer);
        if (!row) throw unknown_layer(layer);
        if (row->has_tree) return;
        aside = make_room(store, tables, disk.value_or(0));
        tables.note_tree(layer, disk);
        const std::string to = store.layer_path(layer);
        // A process that was killed between these lines left a tree that no row knows of.
        if (path_exists(to + "/tree")) aside.push_back(store.retire(to + "/tree"));
        // Whoever has read the names without a tree goes on with those; they differ only in what inodes cannot carry.
        util::check(::rename((tree.directory_.path() + "/names").c_str(), (to + "/names").c_str()), "put into place",
                    to);
        util::check(::rename(tree.tree().c_str(), (to + "/tree").c_str()), "put into place", to);
    });
    for (const std::string& path : aside) util::remove_all(path);
}

std::optional<LayerId> Lease::find_layer(const Digest& key) {
    return state_->hold->find_layer([&](Tables& tables) { return tables.layer_of_key(key); }, Check::presence);
}

std::optional<LayerId> Lease::find_layer(const DiffId& diff_id) {
    return state_->hold->find_layer([&](Tables& tables) { return tables.layer_of_diff_id(diff_id); }, Check::presence);
}

void Lease::add_key(const KeyRecord& record, const LayerId& layer, OnConflict on_conflict) {
    StoreData& store = state_->hold->store();
    store.index().write([&](Tables& tables) {
        if (!tables.layer(layer)) throw unknown_layer(layer);
        // As in publish(), the first layer of a key stays its layer, as long as it is there.
        const auto other = tables.layer_of_key(record.key);
        if (on_conflict == OnConflict::keep && other && other->id != layer && store.is_layer_present(tables, *other)) {
            return;
        }
        tables.put_key(record, layer);
    });
}

LayerFacts Lease::facts(const LayerId& layer) {
    const auto row = state_->hold->store().index().read([&](Tables& tables) { return tables.layer(layer); });
    if (!row) throw unknown_layer(layer);
    return row->facts;
}

void Lease::set_diff_id(const LayerId& layer, const DiffId& diff_id, std::uint64_t tar_size) {
    state_->hold->store().index().write([&](Tables& tables) {
        if (!tables.set_diff_id(layer, diff_id, tar_size)) throw unknown_layer(layer);
    });
}

std::string Lease::tree_path(const LayerId& layer) const {
    return state_->hold->store().layer_path(layer) + "/tree";
}

std::string Lease::read_names(const LayerId& layer) const {
    StoreData& store = state_->hold->store();
    try {
        return store.read_names(layer);
    } catch (const CorruptData&) {
        store.drop_layer(layer);
        throw;
    }
}

std::vector<KeyRecord> Lease::key_records(std::string_view slot, std::size_t limit) {
    return state_->hold->store().index().read([&](Tables& tables) { return tables.key_records(slot, limit); });
}

void Lease::put_image(const ImageRecord& image, const std::vector<std::string>& names) {
    if (const Digest actual = util::Sha256::of(image.config); actual != image.id) {
        throw CorruptData("an image's config", image.id.text(), actual.text());
    }
    state_->hold->store().index().write([&](Tables& tables) {
        tables.put_image(image);
        for (const std::string& name : names) tables.put_name(name, image.id);
    });
}

std::string Lease::log_path(std::string_view name) {
    return state_->hold->log_path(name);
}

// A wait in flock() ends only with a signal, which would be the whole process's; a stop token has none to send. So we
// try again and again, at first quickly, since most steps are short, and later ten times a second. A try is four
// system calls.
util::FileLock Lease::claim(const Digest& key, std::stop_token stop) {
    constexpr std::chrono::milliseconds kLongest{100};
    StoreData& store = state_->hold->store();
    const std::string path = store.claims_path() + "/" + key.hex();
    std::mutex mutex;
    std::condition_variable_any stopped;
    std::chrono::milliseconds pause{1};
    while (!stop.stop_requested()) {
        {
            // Sweepers remove free claims; they do it while nobody is between opening such a file and locking it.
            const auto guard = util::FileLock::acquire(store.sweep_lock_path(), util::FileLock::Kind::shared);
            if (auto lock = util::FileLock::try_acquire(path, util::FileLock::Kind::exclusive)) return std::move(*lock);
        }
        std::unique_lock lock(mutex);
        stopped.wait_for(lock, stop, pause, [] { return false; });
        pause = std::min(2 * pause, kLongest);
    }
    throw Cancelled();
}

}  // namespace imgbuild::layers
