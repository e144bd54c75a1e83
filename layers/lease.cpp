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

LayerId Lease::publish(UnfinishedLayer layer, std::string_view names, const LayerFacts& facts,
                       const std::optional<KeyRecord>& record, OnConflict on_conflict) {
    LeaseHold& hold = *state_->hold;
    StoreData& store = hold.store();
    const bool keeps = on_conflict == OnConflict::keep;
    if (record && keeps) {
        // Somebody's layer takes the place of ours, so it had better be whole.
        const auto by_key = [&](Tables& tables) { return tables.layer_of_key(record->key); };
        if (const auto other = hold.find_layer(by_key, Check::whole)) return *other;
    }
    const std::string from = layer.directory_.path();
    write_names(from + "/names", names);
    util::remove_all(layer.work());
    util::check(::chmod(from.c_str(), 0700), "set the mode of", from);
    const auto disk = measure(store, from, names.size());

    std::vector<std::string> aside;
    const LayerId id(random_name());
    const std::string to = store.layer_path(id);
    bool moved = false;
    LayerId result;
    try {
        result = store.index().write([&](Tables& tables) {
            if (record) {
                const auto other = tables.layer_of_key(record->key);
                if (keeps && other && store.is_layer_present(other->id)) {
                    tables.pin_layer(hold.name(), other->id);
                    return other->id;
                }
                if (other && keeps) tables.drop_layer(other->id);
                tables.put_key(*record, id);
            }
            aside = make_room(store, tables, disk.value_or(0));
            LayerFacts published = facts;
            if (record) published.key = record->key;
            tables.insert_layer(id, published, disk);
            tables.pin_layer(hold.name(), id);
            // Last, so that of all that can fail only the commit comes after it; and inside, see store_data.hpp.
            util::check(::rename(from.c_str(), to.c_str()), "put into place", to);
            moved = true;
            return id;
        });
    } catch (...) {
        // Back to where the temporary directory's owner removes it. If that fails, the next sweep finds no row for it.
        if (moved) static_cast<void>(::rename(to.c_str(), from.c_str()));
        throw;
    }
    if (result == id) layer.directory_.release();
    for (const std::string& path : aside) util::remove_all(path);
    return result;
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
        if (on_conflict == OnConflict::keep && other && other->id != layer && store.is_layer_present(other->id)) return;
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
