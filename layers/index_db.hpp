// The store's index: which objects there are and what is known about them. Schema: docs/store-format.md.
//
// Index is the gate: it lets one thread at a time at the connection and wraps what that thread does in a transaction.
// Tables is what one finds behind it. Nothing here looks at files; layers/store_data.hpp relates the two.
//
//     index.write([&](Tables& tables) { tables.insert_blob(info, boot_id); tables.pin(lease, blob_pin(digest)); });
#pragma once

#include "layers/sqlite.hpp"
#include "layers/store.hpp"

#include <mutex>
#include <type_traits>

namespace imgbuild::layers {

/// A layer's row. `trusted`: it was written in this boot or has been synced; others are verified before use.
struct LayerRow {
    LayerId id;
    LayerFacts facts;
    bool trusted = false;
};

struct BlobRow {
    BlobInfo blob;
    bool trusted = false;
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
    void insert_layer(const LayerId& id, const LayerFacts& facts);
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
    /// Replaces a row of the same digest.
    void put_blob(const BlobInfo& blob);
    std::optional<BlobRow> blob(const Digest& digest);
    void drop_blob(const Digest& digest);
    std::vector<Digest> all_blobs();
    void use_blob(const Digest& digest);
    void put_form(const DiffId& diff_id, const BlobForm& form);
    /// With an empty codec id all of them, "pulled" first. Only those whose blob has a row.
    std::vector<BlobForm> forms(const DiffId& diff_id, std::string_view codec_id);
    /// Those whose blob has no row.
    void drop_lost_forms();

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

    // Checksums of the user's files.
    std::optional<Digest> checksum(const FileFingerprint& file);
    void put_checksum(const FileFingerprint& file, const Digest& digest);
    void drop_checksums();

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

private:
    std::mutex mutex_;
    sqlite::Database database_;
    std::string boot_id_;
};

}  // namespace imgbuild::layers
