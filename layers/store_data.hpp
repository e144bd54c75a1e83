// What Store, Lease and the writers of one opened store share: its paths, its index, and the rules by which both are
// held against each other. Internal to the store's sources.
//
// Order matters everywhere. An object is renamed into place while the transaction that publishes it holds the write
// lock, so whoever holds that lock sees no object without a row, except what a killed process left. A row whose object
// is gone or damaged is dropped by whoever meets it, which turns it into a miss.
#pragma once

#include <imgbuild/error.hpp>

#include "layers/index_db.hpp"
#include "layers/written_blobs.hpp"

#include <atomic>
#include <mutex>
#include <set>

namespace imgbuild::layers {

/// 32 hexadecimal digits from the kernel.
std::string random_name();
/// Does `path` exist? Follows nothing. Throws IoError if that cannot be told.
bool path_exists(const std::string& path);

/// A store's root as an absolute path without "." and "..". Throws IoError for an empty one.
std::string absolute_root(const std::string& root);
/// Names in a directory of ours, sorted; none if there is no such directory.
std::vector<std::string> names_in(const std::string& path);

/// How much of a layer is looked at before it counts as found.
enum class Check {
    /// That it is there; and everything, if its row is not trusted.
    presence,
    /// Its name index against its checksum.
    whole,
};

class StoreData {
public:
    /// Makes what is missing. `root` is absolute.
    explicit StoreData(std::string root, const StoreOptions& options = {});

    const std::string& root() const { return root_; }
    /// 0: none.
    std::uint64_t limit() const { return options_.limit; }
    /// What the store takes besides layers and blobs, as it was measured last; 0 before. See store_limit.hpp.
    std::uint64_t outside() const { return outside_; }
    void set_outside(std::uint64_t bytes) { outside_ = bytes; }
    /// Bytes that this process is writing and has not published.
    std::uint64_t in_work() const { return in_work_; }
    void add_work(std::uint64_t bytes) { in_work_ += bytes; }
    void end_work(std::uint64_t bytes) { in_work_ -= bytes; }
    int directory() const { return directory_.get(); }
    WrittenBlobs& written() { return written_; }
    const WrittenBlobs& written() const { return written_; }
    Index& index() { return *index_; }

    std::string temporary(std::string_view name) const { return root_ + "/tmp/" + std::string(name); }
    std::string layer_path(const LayerId& id) const { return root_ + "/layers/" + id.text(); }
    std::string blob_path(const Digest& digest) const { return root_ + "/blobs/sha256/" + digest.hex(); }
    std::string claims_path() const { return temporary("claims"); }
    /// Held exclusively by who sweeps tmp/, shared by who makes something there that has no lock of its own yet.
    std::string sweep_lock_path() const { return temporary("sweep.lock"); }

    /// Renames into tmp/dead-…, from where the next sweep removes it; returns the new path. Absence is fine.
    std::string retire(const std::string& path) const;

    // Layers.
    /// Are the name index and the tree where they should be, or the blob of a layer without a tree?
    bool is_layer_present(Tables& tables, const LayerRow& row) const;
    /// The blobs of a layer's diff id that are where they should be, for one without a tree.
    std::vector<BlobInfo> present_blobs(Tables& tables, const LayerRow& row) const;
    /// The name index, checked. Throws CorruptData or IoError.
    std::string read_names(const LayerId& id) const;
    bool has_good_names(const LayerId& id) const;
    /// Is it trusted, or does its tree make the tar that it should? That reads all of it, and is only tried with layers
    /// made here: a pulled one is another writer's tar, and is made again from its blob. One without a tree is as good
    /// as its blobs, which are judged by themselves.
    bool is_believed(const LayerRow& row) const;
    void drop_layer(const LayerId& id);

    // Blobs.
    /// Is there a file of the right size?
    bool is_blob_present(const BlobInfo& blob) const;
    bool has_good_digest(const BlobInfo& blob) const;
    void drop_blob(const Digest& digest);
    /// As drop_blob(), unless somebody has put another file there than the one that `fd` is.
    void drop_blob_file(const Digest& digest, int fd);

private:
    void open_index();

    std::string root_;
    StoreOptions options_;
    std::atomic<std::uint64_t> outside_ = 0;
    std::atomic<std::uint64_t> in_work_ = 0;
    WrittenBlobs written_;
    util::Fd directory_;
    std::unique_ptr<Index> index_;
};

/// Runs `body`, which may as well be run some other time. On a full disk the index may not take another word, and
/// whoever opens the store then may be about to make room.
template <class Body>
void unless_disk_is_full(Body&& body) {
    try {
        body();
    } catch (const Error& error) {
        if (error.code() != "resources.disk-full") throw;
    }
}

/// Writes a layer's name index with its checksum; read_names() reads it.
void write_names(const std::string& path, std::string_view names);

/// Moves aside what dead processes left, and removes it. Safe at any time, in any number of processes.
void sweep(StoreData& store);
/// Is there a lease's directory? After a sweep that means a process that runs. Who wants to rely on the answer holds
/// the sweep lock exclusively, since whoever makes a lease holds it shared.
bool has_live_lease(const StoreData& store);
/// `name`: of a directory in logs/.
bool is_log_of_live_lease(const StoreData& store, const std::string& name);

/// A lease's directory and lock. Ends when the last of Lease and its BlobWriters goes.
class LeaseHold {
public:
    explicit LeaseHold(std::shared_ptr<StoreData> store);
    LeaseHold(const LeaseHold&) = delete;
    LeaseHold& operator=(const LeaseHold&) = delete;
    ~LeaseHold();

    StoreData& store() const { return *store_; }
    const std::shared_ptr<StoreData>& shared_store() const { return store_; }
    /// The name of the directory in tmp/, under which pins stand.
    const std::string& name() const { return name_; }
    std::string directory() const { return store_->temporary(name_); }

    /// The first layer that `query(Tables&)` yields and that proves usable, pinned. Those that do not are dropped.
    template <class Query>
    std::optional<LayerId> find_layer(const Query& query, Check check) {
        while (const std::optional<LayerRow> row = store_->index().read(query)) {
            if (accept(*row, check)) return row->id;
        }
        return std::nullopt;
    }
    std::optional<BlobInfo> find_blob(const Digest& digest);
    std::string log_path(std::string_view name);

private:
    bool accept(const LayerRow& row, Check check);
    bool find_any_blob(const LayerRow& row);

    std::shared_ptr<StoreData> store_;
    std::string name_;
    std::optional<util::FileLock> lock_;

    std::mutex log_mutex_;
    std::string log_directory_;
    std::set<std::string, std::less<>> log_names_;
};

}  // namespace imgbuild::layers
