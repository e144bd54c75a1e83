#include "layers/inventory.hpp"

#include <imgbuild/error.hpp>

#include "layers/accounting.hpp"
#include "layers/disk_use.hpp"
#include "util/clock.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <algorithm>
#include <cerrno>
#include <map>
#include <tuple>
#include <utility>

namespace imgbuild::layers {
namespace {

constexpr std::size_t kMaxMountName = 1U << 20;

std::int64_t time_of(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return 0;
    return std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

// A file of ours that a clean-up may take away meanwhile.
std::string text_of(const std::string& path) {
    try {
        return std::string(util::trim(util::read_file(path, kMaxMountName)));
    } catch (const IoError& error) {
        if (error.error_number() != ENOENT) throw;
        return {};
    }
}

class FileMeasure {
public:
    explicit FileMeasure(StoreData& store) : store_(store), idle_(!has_live_lease(store)) {}

    MeasuredFiles run() {
        const std::string mounts = store_.root() + "/mounts";
        for (const std::string& identity : names_in(mounts)) add_mounts(mounts, identity);
        for (const std::string& name : names_in(store_.root() + "/logs")) add_log(name);
        // Last, as what was recorded before is in the index's log.
        for (const char* name : {"", "/CACHEDIR.TAG", "/index.db", "/index.db-wal", "/index.db-shm", "/layers",
                                 "/blobs", "/blobs/sha256", "/mounts", "/logs"}) {
            own_.add_alone(store_.root() + name);
        }
        own_.add(store_.root() + "/resolved");
        out_.overhead = own_.bytes();
        return std::move(out_);
    }

private:
    void add_mounts(const std::string& mounts, const std::string& identity) {
        const std::string top = mounts + "/" + identity;
        own_.add_alone(top);
        own_.add_alone(top + "/id");
        for (const std::string& number : names_in(top)) {
            if (number == "id") continue;
            const std::string mount = fmt::format("{}/{}", top, number);
            own_.add_alone(mount);
            own_.add_alone(mount + "/lock");
            if (path_exists(mount + "/data")) add_mount(top, fmt::format("{}/{}", identity, number));
        }
    }

    void add_mount(const std::string& top, const std::string& path) {
        const std::string place = store_.root() + "/mounts/" + path;
        const std::int64_t last_used = time_of(place + "/lock");
        out_.mounts.push_back({.kind = ObjectKind::mount,
                               .id = path,
                               .bytes = mount_bytes(path, place + "/data", last_used),
                               .last_used = last_used,
                               .held = !idle_ && !is_free(place + "/lock"),
                               .needs = {},
                               .names = {},
                               .what = text_of(top + "/id"),
                               .ingredients = {}});
    }

    // The kernel stamps the lock with the time of its last tick, up to 10 ms ago.
    std::uint64_t mount_bytes(const std::string& path, const std::string& data, std::int64_t last_used) {
        constexpr std::int64_t kTick = 20'000'000;
        const auto known = store_.index().read([&](Tables& tables) { return tables.mount_size(path); });
        if (known && last_used + kTick < known->measured) return known->disk;
        const std::int64_t now = util::now_ns();
        const MountSize size{.disk = disk_use(data), .measured = now};
        // A build that runs may go on changing it.
        if (idle_) {
            unless_disk_is_full(
                [&] { store_.index().write([&](Tables& tables) { tables.put_mount_size(path, size); }); });
        }
        return size.disk;
    }

    static bool is_free(const std::string& lock) {
        return util::FileLock::try_acquire(lock, util::FileLock::Kind::exclusive).has_value();
    }

    void add_log(const std::string& name) {
        const std::string path = store_.root() + "/logs/" + name;
        out_.logs.push_back({.kind = ObjectKind::log,
                             .id = name,
                             .bytes = disk_use(path),
                             .last_used = time_of(path),
                             .held = is_log_of_live_lease(store_, name),
                             .needs = {},
                             .names = {},
                             .what = {},
                             .ingredients = {}});
    }

    StoreData& store_;
    /// No lease lives, so nobody changes a cache mount; leases begun later stamp what they take.
    bool idle_;
    DiskUse own_;
    MeasuredFiles out_;
};

}  // namespace

void measure_objects(StoreData& store) {
    const auto [layers, blobs] =
        store.index().read([](Tables& tables) { return std::pair(tables.layer_stats(), tables.blob_stats()); });
    std::vector<std::pair<LayerId, std::uint64_t>> layer_sizes;
    for (const LayerStat& layer : layers) {
        if (!layer.disk) layer_sizes.emplace_back(layer.id, disk_use(store.layer_path(layer.id)));
    }
    std::vector<std::pair<Digest, std::uint64_t>> blob_sizes;
    for (const BlobStat& blob : blobs) {
        if (!blob.disk) blob_sizes.emplace_back(blob.blob.digest, disk_use(store.blob_path(blob.blob.digest)));
    }
    if (layer_sizes.empty() && blob_sizes.empty()) return;
    unless_disk_is_full([&] {
        store.index().write([&](Tables& tables) {
            for (const auto& [id, disk] : layer_sizes) tables.set_layer_disk(id, disk);
            for (const auto& [digest, disk] : blob_sizes) tables.set_blob_disk(digest, disk);
        });
    });
}

MeasuredFiles measure_files(StoreData& store) {
    return FileMeasure(store).run();
}

namespace {

// Which objects lead to which: an image names diff ids, and those lead to the newest layer of each and to all blobs. A
// layer without a tree leads to its blobs as well.
class Listing {
public:
    Listing(Tables& tables, const MeasuredFiles& files) : tables_(tables), files_(files) {}

    Inventory run() {
        const std::vector<ImageStat> images = tables_.image_stats();
        for (const ImageStat& image : images) add_image(image);
        for (LayerStat& layer : tables_.layer_stats()) add_layer(layer);
        for (const BlobStat& blob : tables_.blob_stats()) add_blob(blob);
        for (const FormRow& form : tables_.all_forms()) forms_of_.emplace(form.diff_id, form.blob);
        for (std::size_t i = 0; i < images.size(); ++i) relate(images[i], i);
        for (const auto& [at, diff_id] : packed_) add_blobs_of(diff_id, out_.objects[at].needs);
        add_sorted(files_.mounts);
        add_sorted(files_.logs);
        out_.overhead = files_.overhead;
        return std::move(out_);
    }

private:
    void add_image(const ImageStat& image) {
        out_.objects.push_back({.kind = ObjectKind::image,
                                .id = image.id.text(),
                                .last_used = image.last_used,
                                .needs = {},
                                .names = image.names,
                                .what = {},
                                .ingredients = {}});
    }

    void add_layer(LayerStat& layer) {
        if (layer.diff_id && !layer.has_tree) packed_.emplace_back(out_.objects.size(), *layer.diff_id);
        if (layer.diff_id) {
            // As layer_of_diff_id() has it, the newest one is the image's; the order here is that of use.
            std::pair<std::int64_t, std::size_t>& newest = layer_of_[*layer.diff_id];
            newest = std::max(newest, {layer.seq, out_.objects.size()});
        }
        out_.objects.push_back({.kind = ObjectKind::layer,
                                .id = layer.id.text(),
                                .bytes = layer.disk.value_or(0),
                                .last_used = layer.last_used,
                                .held = layer.held,
                                .needs = {},
                                .names = {},
                                .what = std::move(layer.kind),
                                .ingredients = std::move(layer.ingredients)});
    }

    void add_blob(const BlobStat& blob) {
        blob_of_.emplace(blob.blob.digest, out_.objects.size());
        out_.objects.push_back({.kind = ObjectKind::blob,
                                .id = blob.blob.digest.text(),
                                .bytes = blob.disk.value_or(0),
                                .last_used = blob.last_used,
                                .held = blob.held,
                                .needs = {},
                                .names = {},
                                .what = {},
                                .ingredients = {}});
    }

    void add_blobs_of(const DiffId& diff_id, std::vector<std::size_t>& needs) const {
        const auto [first, last] = forms_of_.equal_range(diff_id);
        for (auto form = first; form != last; ++form) {
            if (const auto blob = blob_of_.find(form->second); blob != blob_of_.end()) needs.push_back(blob->second);
        }
    }

    void relate(const ImageStat& image, std::size_t at) {
        std::vector<std::size_t> needs;
        for (const DiffId& diff_id : image.diff_ids) {
            if (const auto layer = layer_of_.find(diff_id); layer != layer_of_.end())
                needs.push_back(layer->second.second);
            add_blobs_of(diff_id, needs);
        }
        // An image may have a layer twice, and layers of one diff id the same blob.
        std::sort(needs.begin(), needs.end());
        needs.erase(std::unique(needs.begin(), needs.end()), needs.end());
        if (!image.names.empty()) {
            for (const std::size_t need : needs) ++out_.objects[need].images;
        }
        out_.objects[at].needs = std::move(needs);
    }

    void add_sorted(std::vector<StoredObject> objects) {
        std::sort(objects.begin(), objects.end(), [](const StoredObject& a, const StoredObject& b) {
            return std::tie(a.last_used, a.id) < std::tie(b.last_used, b.id);
        });
        out_.objects.insert(out_.objects.end(), objects.begin(), objects.end());
    }

    Tables& tables_;
    const MeasuredFiles& files_;
    /// The row's `seq`, and where its object is.
    std::map<DiffId, std::pair<std::int64_t, std::size_t>> layer_of_;
    std::multimap<DiffId, Digest> forms_of_;
    /// Layers without a tree, which need their blobs.
    std::vector<std::pair<std::size_t, DiffId>> packed_;
    std::map<Digest, std::size_t> blob_of_;
    Inventory out_;
};

}  // namespace

Inventory list_objects(Tables& tables, const MeasuredFiles& files) {
    return Listing(tables, files).run();
}

Inventory take_inventory(const std::string& root) {
    StoreData store(root);
    sweep(store);
    measure_objects(store);
    const MeasuredFiles files = measure_files(store);
    Inventory out = store.index().read([&](Tables& tables) { return list_objects(tables, files); });
    out.work = disk_use(store.temporary(""));
    return out;
}

std::uint64_t Inventory::total() const {
    std::uint64_t out = overhead + work;
    for (const StoredObject& object : objects) out += object.bytes;
    return out;
}

bool is_reclaimable(const StoredObject& object) {
    if (object.kind == ObjectKind::image) return object.names.empty();
    return object.images == 0 && !object.held;
}

std::string_view name_of(ObjectKind kind) {
    switch (kind) {
        case ObjectKind::image:
            return "image";
        case ObjectKind::layer:
            return "layer";
        case ObjectKind::blob:
            return "blob";
        case ObjectKind::mount:
            return "mount";
        case ObjectKind::log:
            return "log";
    }
    std::unreachable();
}

}  // namespace imgbuild::layers
