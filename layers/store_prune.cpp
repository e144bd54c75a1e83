// One transaction decides, with the write lock held: what is not pinned then cannot be looked up any more by the time
// anybody gets the lock, so its directory can be moved aside. Removing comes after, and without the lock.
#include "layers/prune.hpp"

#include <imgbuild/error.hpp>

#include "layers/store_data.hpp"
#include "util/rooted_dir.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>
#include <vector>

namespace imgbuild::layers {
namespace {

constexpr std::uint64_t kBlockBytes = 512;

// Bytes on the disk of a tree of ours, each inode once. Follows nothing.
class DiskUse {
public:
    void add(int directory, const std::string& name) {
        struct stat status {};
        if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT) return;
            throw IoError("look at", name, errno);
        }
        const bool counted =
            status.st_nlink > 1 && !S_ISDIR(status.st_mode) && !linked_.emplace(status.st_dev, status.st_ino).second;
        if (!counted) bytes_ += static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes;
        if (!S_ISDIR(status.st_mode)) return;
        const util::Fd inside(::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        // What was moved aside is anybody's to remove.
        if (!inside && errno == ENOENT) return;
        util::check(inside.get(), "open", name);
        for (const util::DirEntry& entry : util::list_directory(inside.get(), name)) add(inside.get(), entry.name);
    }

    std::uint64_t bytes() const { return bytes_; }

private:
    std::uint64_t bytes_ = 0;
    std::set<std::pair<dev_t, ino_t>> linked_;
};

std::vector<std::string> names_in(const std::string& path) {
    const util::Fd directory = util::open_path(path, O_RDONLY | O_DIRECTORY);
    std::vector<std::string> out;
    for (util::DirEntry& entry : util::list_directory(directory.get(), path)) out.push_back(std::move(entry.name));
    return out;
}

// After a sweep, a lease that has a directory has a process.
bool has_live_lease(const StoreData& store) {
    const std::vector<std::string> names = names_in(store.temporary(""));
    return std::any_of(names.begin(), names.end(), [](const std::string& name) { return name.starts_with("lease-"); });
}

class Pruning {
public:
    Pruning(StoreData& store, PruneScope scope) : store_(store), scope_(scope) {}

    PruneReport run() {
        store_.index().write([&](Tables& tables) { decide(tables); });
        // Whoever makes a lease holds this lock shared, so none begins while we look.
        {
            const auto guard = util::FileLock::acquire(store_.sweep_lock_path(), util::FileLock::Kind::exclusive);
            if (scope_ == PruneScope::all && !has_live_lease(store_)) {
                retire_all_in("/mounts");
                retire_all_in("/logs");
            }
        }
        DiskUse use;
        for (const std::string& path : retired_) use.add(AT_FDCWD, path);
        report_.bytes = use.bytes();
        for (const std::string& path : retired_) util::remove_all(path);
        return report_;
    }

private:
    void decide(Tables& tables) {
        if (scope_ == PruneScope::all) {
            report_.images = tables.drop_images();
            tables.drop_checksums();
        }
        drop_layers(tables);
        drop_blobs(tables);
        tables.drop_lost_forms();
    }

    void drop_layers(Tables& tables) {
        std::set<LayerId> needed;
        for (const Digest& id : tables.all_images()) {
            const std::optional<ImageRecord> image = tables.image(id);
            for (const DiffId& diff_id : image->diff_ids) {
                if (const auto row = tables.layer_of_diff_id(diff_id)) needed.insert(row->id);
            }
        }
        for (const LayerId& id : tables.all_layers()) {
            if (needed.contains(id)) continue;
            if (tables.is_layer_pinned(id)) {
                ++report_.held;
                continue;
            }
            tables.drop_layer(id);
            retire(store_.layer_path(id));
            ++report_.layers;
        }
    }

    void drop_blobs(Tables& tables) {
        std::set<Digest> needed;
        for (const Digest& id : tables.all_images()) {
            const std::optional<ImageRecord> image = tables.image(id);
            for (const DiffId& diff_id : image->diff_ids) {
                for (const BlobForm& form : tables.forms(diff_id, "")) needed.insert(form.blob.digest);
            }
        }
        for (const Digest& digest : tables.all_blobs()) {
            if (needed.contains(digest)) continue;
            if (tables.is_blob_pinned(digest)) {
                ++report_.held;
                continue;
            }
            tables.drop_blob(digest);
            retire(store_.blob_path(digest));
            ++report_.blobs;
        }
    }

    void retire_all_in(const char* directory) {
        const std::string path = store_.root() + directory;
        for (const std::string& name : names_in(path)) retire(path + "/" + name);
    }

    void retire(const std::string& path) { retired_.push_back(store_.retire(path)); }

    StoreData& store_;
    PruneScope scope_;
    PruneReport report_;
    /// Where it went in tmp/.
    std::vector<std::string> retired_;
};

}  // namespace

PruneReport prune(const std::string& root, PruneScope scope) {
    StoreData store(root);
    sweep(store);
    return Pruning(store, scope).run();
}

}  // namespace imgbuild::layers
