// The store's index: which objects there are and what is known about them. Schema: docs/store-format.md.
//
// Index is the gate: it lets one thread at a time at the connection and wraps what that thread does in a transaction.
// Tables is what one finds behind it. Nothing here looks at files; layers/store_data.hpp relates the two.
//
//     index.write([&](Tables& tables) { tables.insert_blob(info, boot_id); tables.pin(lease, blob_pin(digest)); });
#pragma once

#include "layers/block_table.hpp"
#include "layers/sqlite.hpp"
#include "layers/store.hpp"

#include <mutex>
#include <type_traits>
#include <utility>

namespace imgbuild::layers {

/// A layer's row. `trusted`: it was written in this boot or has been synced; others are verified before use.
struct LayerRow {
    LayerId id;
    LayerFacts facts;
    /// Without one it lives by the blobs of its diff id alone.
    bool has_tree = true;
    bool trusted = false;
};

struct BlobRow {
    BlobInfo blob;
    bool trusted = false;
};

/// What the index has of an object for those who count, list and remove: times are nanoseconds since 1970, `disk` is
/// bytes of the disk and absent where nobody has measured yet, `held` says that a lease pins it.
struct LayerStat {
    /// Order of birth.
    std::int64_t seq = 0;
    LayerId id;
    std::optional<DiffId> diff_id;
    bool has_tree = true;
    std::optional<std::uint64_t> disk;
    std::int64_t last_used = 0;
    bool held = false;
    /// Of its newest key, which is the one nearest to the build file; empty for a pulled layer.
    std::string kind;
    std::string ingredients;
};

struct BlobStat {
    BlobInfo blob;
    std::optional<std::uint64_t> disk;
    std::int64_t last_used = 0;
    bool held = false;
};

struct ImageStat {
    Digest id;
    std::vector<DiffId> diff_ids;
    std::int64_t last_used = 0;
    std::vector<std::string> names;
};

/// A form as it stands in the index, whether or not its blob has a row.
struct FormRow {
    DiffId diff_id;
    Digest blob;
};

/// The size of a cache mount, and when it was measured.
struct MountSize {
    std::uint64_t disk = 0;
    std::int64_t measured = 0;
};

/// The newest rows at some moment; see mark_synced().
struct SyncPoint {
    std::int64_t layers = 0;
    std::int64_t blobs = 0;
};

/// Times are nanoseconds since 1970; `boot_id` is the running kernel's.
class Tables {
public:
    Tables(sqlite::Database& database, const std::string& boot_id) : db_(database), boot_id_(boot_id) {}

    // Layers and their keys.
    enum class Tree { no, yes };
    /// `disk`: bytes of the disk that it takes, if they are known already.
    void insert_layer(const LayerId& id, const LayerFacts& facts, std::optional<std::uint64_t> disk,
                      Tree tree = Tree::yes);
    /// The layer has a tree from now on. As it has just been written, the row counts as born and not synced.
    void note_tree(const LayerId& id, std::optional<std::uint64_t> disk);
    std::optional<LayerRow> layer(const LayerId& id);
    std::optional<LayerRow> layer_of_key(const Digest& key);
    /// The newest one.
    std::optional<LayerRow> layer_of_diff_id(const DiffId& diff_id);
    /// The row and its keys.
    void drop_layer(const LayerId& id);
    std::vector<LayerId> all_layers();
    /// Both return whether there is such a layer.
    bool set_diff_id(const LayerId& id, const DiffId& diff_id, std::uint64_t tar_size);
    /// Remembers the use, and that the layer was found good if it had to be verified.
    bool use_layer(const LayerId& id);
    /// And its cost, if it has one.
    void put_key(const KeyRecord& record, const LayerId& id);
    std::vector<KeyRecord> key_records(std::string_view slot, std::size_t limit);

    // What commands took.
    /// Takes the place of an earlier one. Only the newest are kept.
    void put_cost(const StepCost& cost);
    std::optional<StepCost> cost(const Digest& step);

    // Blobs and what they are forms of.
    /// Replaces a row of the same digest. `disk`: bytes of the disk, if they are known already.
    void put_blob(const BlobInfo& blob, std::optional<std::uint64_t> disk = {});
    std::optional<BlobRow> blob(const Digest& digest);
    /// The row and its blocks.
    void drop_blob(const Digest& digest);
    std::vector<Digest> all_blobs();
    void use_blob(const Digest& digest);
    void put_form(const DiffId& diff_id, const BlobForm& form);
    /// With an empty codec id all of them, "pulled" first. Only those whose blob has a row.
    std::vector<BlobForm> forms(const DiffId& diff_id, std::string_view codec_id);
    /// Those whose blob has no row, and such blocks; and remote ones that no image has.
    void drop_lost_forms();
    void put_remote(const DiffId& diff_id, const RemoteForm& remote);
    std::optional<RemoteForm> remote(const DiffId& diff_id);

    // Blocks of blobs; `codec_id`: of a Codec.
    /// Takes the place of an equal block of another blob.
    void put_block(const BlockRow& row, std::string_view codec_id, const Digest& blob);
    std::optional<std::pair<Digest, BlockRow>> block(const BlockPrint& print, std::string_view codec_id);

    // Pins. `lease` is the name of its directory.
    void pin_layer(std::string_view lease, const LayerId& id);
    void pin_blob(std::string_view lease, const Digest& digest);
    bool is_layer_pinned(const LayerId& id);
    bool is_blob_pinned(const Digest& digest);
    std::vector<std::string> pinning_leases();
    void drop_pins(std::string_view lease);

    // Images.
    void put_image(const ImageRecord& image);
    void put_name(const std::string& name, const Digest& image);
    bool has_image(const Digest& id);
    std::optional<Digest> image_of_name(std::string_view name);
    /// At most `limit` ids between two bounds, both included.
    std::vector<Digest> image_ids(const Digest& from, const Digest& to, std::size_t limit);
    std::optional<ImageRecord> image(const Digest& id);
    /// Newest first.
    std::vector<Digest> all_images();
    /// With their names. Returns how many there were.
    std::uint64_t drop_images();
    /// With its names.
    void drop_image(const Digest& id);

    // Accounting.
    /// Least recently used first.
    std::vector<LayerStat> layer_stats();
    std::vector<BlobStat> blob_stats();
    std::vector<ImageStat> image_stats();
    std::vector<FormRow> all_forms();
    /// Nothing if there is no such layer, or nobody has measured it.
    std::optional<std::uint64_t> layer_disk(const LayerId& id);
    void set_layer_disk(const LayerId& id, std::uint64_t disk);
    void set_blob_disk(const Digest& digest, std::uint64_t disk);
    /// Of all layers and blobs that were measured.
    std::uint64_t total_disk();
    /// `path`: below mounts/, such as "<hex>/0".
    std::optional<MountSize> mount_size(std::string_view path);
    void put_mount_size(std::string_view path, const MountSize& size);
    void drop_mount_size(std::string_view path);

    // Checksums of the user's files.
    std::optional<Digest> checksum(const FileFingerprint& file);
    void put_checksum(const FileFingerprint& file, const Digest& digest);
    /// Its files, or nothing.
    std::string known_directory(std::uint64_t device, std::uint64_t inode);
    /// Takes the place of an earlier one. Only the newest are kept.
    void put_known_directory(const KnownDirectory& directory);
    /// Those that nobody asked for in 30 days.
    void drop_old_checksums();
    /// Of the user's files, and of what commands took.
    void drop_memories();

    // What leads nowhere, for fsck: keys and diff ids in hexadecimal digits, names as they are.
    std::vector<std::string> lost_keys();
    std::vector<std::string> lost_forms();
    /// Digests of the blobs that they are said to be in.
    std::vector<std::string> lost_blocks();
    std::vector<std::string> lost_names();
    void drop_lost_keys();
    void drop_lost_names();
    /// Those whose config is not what their id says, or whose list of layers is broken.
    std::vector<Digest> damaged_images();
    /// Its bytes were found good; if another boot wrote them, they came from the disk.
    void trust_blob(const Digest& digest);
    void unpin_layer(std::string_view lease, const LayerId& id);
    void unpin_blob(std::string_view lease, const Digest& digest);

    // Durability.
    /// Does this boot have rows that no sync() has covered?
    bool has_unsynced();
    SyncPoint sync_point();
    /// Everything that this boot wrote up to `point` is on the disk.
    void mark_synced(const SyncPoint& point);

private:
    std::optional<LayerRow> first_layer(sqlite::Statement& statement);

    sqlite::Database& db_;
    const std::string& boot_id_;
};

/// Diff ids as images.diff_ids has them: digests one after another. Throws Error ("store.damaged").
std::vector<DiffId> split_diff_ids(const std::string& bytes);

class Index {
public:
    /// Makes the tables if there are none. Throws Error ("store.too-new").
    Index(const std::string& path, std::string boot_id);

    /// Runs `body(Tables&)` in one transaction; if it throws, nothing happened.
    template <class Body>
    std::invoke_result_t<Body, Tables&> write(Body&& body) {
        const std::lock_guard lock(mutex_);
        Tables tables(database_, boot_id_);
        sqlite::Transaction transaction(database_);
        if constexpr (std::is_void_v<std::invoke_result_t<Body, Tables&>>) {
            body(tables);
            transaction.commit();
        } else {
            auto result = body(tables);
            transaction.commit();
            return result;
        }
    }

    /// Runs `body(Tables&)`, which only reads, and whose reads need not agree with each other.
    template <class Body>
    std::invoke_result_t<Body, Tables&> read(Body&& body) {
        const std::lock_guard lock(mutex_);
        Tables tables(database_, boot_id_);
        return body(tables);
    }

    /// What SQLite's own check finds wrong with the file, in its words.
    std::vector<std::string> find_damage();
    /// Which mends an index that does not fit its table.
    void rebuild_search_trees();

private:
    std::mutex mutex_;
    sqlite::Database database_;
    std::string boot_id_;
};

}  // namespace imgbuild::layers
