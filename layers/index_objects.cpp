// Tables of the index that speak of objects: layers, keys, blobs, forms, pins.
#include "layers/index_db.hpp"
#include "layers/store_data.hpp"
#include "util/clock.hpp"

namespace imgbuild::layers {
namespace {

void bind_size(sqlite::Statement& statement, std::optional<std::uint64_t> size) {
    if (size) {
        statement.bind(static_cast<std::int64_t>(*size));
    } else {
        statement.bind_null();
    }
}

}  // namespace

void Tables::insert_layer(const LayerId& id, const LayerFacts& facts, std::optional<std::uint64_t> disk, Tree tree) {
    auto statement = db_.prepare(
        "INSERT INTO layers (id, diff_id, key, tar_size, boot_id, synced, created, last_used, disk, tree)"
        " VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?6, ?7, ?8)");
    const auto bind_digest = [&statement](const std::optional<Digest>& digest) {
        if (digest) {
            statement.bind(*digest);
        } else {
            statement.bind_null();
        }
    };
    statement.bind(id.text());
    bind_digest(facts.diff_id ? std::optional(facts.diff_id->digest()) : std::nullopt);
    bind_digest(facts.key);
    statement.bind(static_cast<std::int64_t>(facts.tar_size)).bind(boot_id_).bind(util::now_ns());
    bind_size(statement, disk);
    statement.bind(std::int64_t{tree == Tree::yes ? 1 : 0}).run();
}

void Tables::note_tree(const LayerId& id, std::optional<std::uint64_t> disk) {
    auto statement = db_.prepare(
        "INSERT OR REPLACE INTO layers (id, diff_id, key, tar_size, boot_id, synced, created, last_used, disk, tree)"
        " SELECT id, diff_id, key, tar_size, ?2, 0, created, ?3, ?4, 1 FROM layers WHERE id = ?1");
    statement.bind(id.text()).bind(boot_id_).bind(util::now_ns());
    bind_size(statement, disk);
    statement.run();
}

std::optional<LayerRow> Tables::first_layer(sqlite::Statement& statement) {
    if (!statement.next()) return std::nullopt;
    LayerRow row;
    row.id = LayerId(statement.text(0));
    if (!statement.is_null(1)) row.facts.diff_id = DiffId(statement.digest(1));
    row.facts.tar_size = static_cast<std::uint64_t>(statement.integer(2));
    row.trusted = statement.integer(3) != 0;
    if (!statement.is_null(4)) row.facts.key = statement.digest(4);
    row.has_tree = statement.integer(5) != 0;
    return row;
}

std::optional<LayerRow> Tables::layer(const LayerId& id) {
    auto statement =
        db_.prepare("SELECT id, diff_id, tar_size, synced OR boot_id = ?2, key, tree FROM layers WHERE id = ?1");
    statement.bind(id.text()).bind(boot_id_);
    return first_layer(statement);
}

std::optional<LayerRow> Tables::layer_of_key(const Digest& key) {
    auto statement = db_.prepare(
        "SELECT id, diff_id, tar_size, synced OR boot_id = ?2, key, tree FROM layers"
        " WHERE id = (SELECT layer_id FROM keys WHERE key = ?1)");
    statement.bind(key).bind(boot_id_);
    return first_layer(statement);
}

std::optional<LayerRow> Tables::layer_of_diff_id(const DiffId& diff_id) {
    auto statement = db_.prepare(
        "SELECT id, diff_id, tar_size, synced OR boot_id = ?2, key, tree FROM layers WHERE diff_id = ?1 ORDER BY seq "
        "DESC");
    statement.bind(diff_id.digest()).bind(boot_id_);
    return first_layer(statement);
}

void Tables::drop_layer(const LayerId& id) {
    db_.prepare("DELETE FROM keys WHERE layer_id = ?").bind(id.text()).run();
    db_.prepare("DELETE FROM layers WHERE id = ?").bind(id.text()).run();
}

std::vector<LayerId> Tables::all_layers() {
    auto statement = db_.prepare("SELECT id FROM layers ORDER BY seq");
    std::vector<LayerId> out;
    while (statement.next()) out.emplace_back(statement.text(0));
    return out;
}

bool Tables::set_diff_id(const LayerId& id, const DiffId& diff_id, std::uint64_t tar_size) {
    return db_.prepare("UPDATE layers SET diff_id = ?, tar_size = ? WHERE id = ?")
               .bind(diff_id.digest())
               .bind(static_cast<std::int64_t>(tar_size))
               .bind(id.text())
               .run() != 0;
}

bool Tables::use_layer(const LayerId& id) {
    // What another boot wrote and we just verified came from the disk, so it is as good as synced.
    return db_.prepare("UPDATE layers SET last_used = ?, synced = synced OR boot_id <> ? WHERE id = ?")
               .bind(util::now_ns())
               .bind(boot_id_)
               .bind(id.text())
               .run() != 0;
}

void Tables::put_key(const KeyRecord& record, const LayerId& id) {
    db_.prepare(
           "INSERT OR REPLACE INTO keys (key, layer_id, kind, slot, ingredients, created) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(record.key)
        .bind(id.text())
        .bind(record.kind)
        .bind(record.slot)
        .bind(record.ingredients)
        .bind(util::now_ns())
        .run();
    if (record.cost) put_cost(*record.cost);
}

std::vector<KeyRecord> Tables::key_records(std::string_view slot, std::size_t limit) {
    auto statement =
        db_.prepare("SELECT key, kind, slot, ingredients FROM keys WHERE slot = ? ORDER BY seq DESC LIMIT ?");
    statement.bind(slot).bind(static_cast<std::int64_t>(limit));
    std::vector<KeyRecord> out;
    while (statement.next()) {
        out.push_back({.key = statement.digest(0),
                       .kind = statement.text(1),
                       .slot = statement.text(2),
                       .ingredients = statement.text(3)});
    }
    return out;
}

void Tables::put_blob(const BlobInfo& blob, std::optional<std::uint64_t> disk) {
    auto statement = db_.prepare(
        "INSERT OR REPLACE INTO blobs (digest, size, boot_id, synced, last_used, disk) VALUES (?, ?, ?, 0, ?, ?)");
    statement.bind(blob.digest).bind(static_cast<std::int64_t>(blob.size)).bind(boot_id_).bind(util::now_ns());
    bind_size(statement, disk);
    statement.run();
}

std::optional<BlobRow> Tables::blob(const Digest& digest) {
    auto statement = db_.prepare("SELECT size, synced OR boot_id = ?2 FROM blobs WHERE digest = ?1");
    if (!statement.bind(digest).bind(boot_id_).next()) return std::nullopt;
    return BlobRow{.blob = {.digest = digest, .size = static_cast<std::uint64_t>(statement.integer(0))},
                   .trusted = statement.integer(1) != 0};
}

void Tables::drop_blob(const Digest& digest) {
    db_.prepare("DELETE FROM blocks WHERE digest = ?").bind(digest).run();
    db_.prepare("DELETE FROM blobs WHERE digest = ?").bind(digest).run();
}

std::vector<Digest> Tables::all_blobs() {
    auto statement = db_.prepare("SELECT digest FROM blobs ORDER BY seq");
    std::vector<Digest> out;
    while (statement.next()) out.push_back(statement.digest(0));
    return out;
}

void Tables::use_blob(const Digest& digest) {
    db_.prepare("UPDATE blobs SET last_used = ?, synced = synced OR boot_id <> ? WHERE digest = ?")
        .bind(util::now_ns())
        .bind(boot_id_)
        .bind(digest)
        .run();
}

void Tables::put_form(const DiffId& diff_id, const BlobForm& form) {
    db_.prepare("INSERT OR REPLACE INTO forms (diff_id, codec_id, digest, media_type) VALUES (?, ?, ?, ?)")
        .bind(diff_id.digest())
        .bind(form.codec_id)
        .bind(form.blob.digest)
        .bind(form.media_type)
        .run();
}

std::vector<BlobForm> Tables::forms(const DiffId& diff_id, std::string_view codec_id) {
    auto statement = db_.prepare(
        "SELECT codec_id, forms.digest, size, media_type FROM forms JOIN blobs ON blobs.digest = forms.digest"
        " WHERE diff_id = ?1 AND (?2 = '' OR codec_id = ?2) ORDER BY codec_id <> 'pulled', codec_id");
    statement.bind(diff_id.digest()).bind(codec_id);
    std::vector<BlobForm> out;
    while (statement.next()) {
        out.push_back(
            {.blob = {.digest = statement.digest(1), .size = static_cast<std::uint64_t>(statement.integer(2))},
             .media_type = statement.text(3),
             .codec_id = statement.text(0)});
    }
    return out;
}

void Tables::drop_lost_forms() {
    db_.prepare("DELETE FROM forms WHERE digest NOT IN (SELECT digest FROM blobs)").run();
    db_.prepare("DELETE FROM blocks WHERE digest NOT IN (SELECT digest FROM blobs)").run();
    // The list of an image's diff ids is their bytes one after another; to be found across two of them by accident
    // would keep a row.
    db_.prepare("DELETE FROM remotes WHERE NOT EXISTS (SELECT 1 FROM images WHERE instr(diff_ids, remotes.diff_id))")
        .run();
}

void Tables::put_remote(const DiffId& diff_id, const RemoteForm& remote) {
    db_.prepare("INSERT OR REPLACE INTO remotes (diff_id, repository, digest, size, media_type) VALUES (?, ?, ?, ?, ?)")
        .bind(diff_id.digest())
        .bind(remote.repository)
        .bind(remote.blob.digest)
        .bind(static_cast<std::int64_t>(remote.blob.size))
        .bind(remote.media_type)
        .run();
}

std::optional<RemoteForm> Tables::remote(const DiffId& diff_id) {
    auto statement = db_.prepare("SELECT repository, digest, size, media_type FROM remotes WHERE diff_id = ?");
    if (!statement.bind(diff_id.digest()).next()) return std::nullopt;
    return RemoteForm{.repository = statement.text(0),
                      .blob = {.digest = statement.digest(1), .size = static_cast<std::uint64_t>(statement.integer(2))},
                      .media_type = statement.text(3)};
}

void Tables::pin_layer(std::string_view lease, const LayerId& id) {
    db_.prepare("INSERT OR IGNORE INTO pins (lease, kind, object) VALUES (?, 'layer', ?)")
        .bind(lease)
        .bind(id.text())
        .run();
}

void Tables::pin_blob(std::string_view lease, const Digest& digest) {
    db_.prepare("INSERT OR IGNORE INTO pins (lease, kind, object) VALUES (?, 'blob', ?)")
        .bind(lease)
        .bind(digest)
        .run();
}

bool Tables::is_layer_pinned(const LayerId& id) {
    return db_.prepare("SELECT 1 FROM pins WHERE kind = 'layer' AND object = ?").bind(id.text()).next();
}

bool Tables::is_blob_pinned(const Digest& digest) {
    return db_.prepare("SELECT 1 FROM pins WHERE kind = 'blob' AND object = ?").bind(digest).next();
}

std::vector<std::string> Tables::pinning_leases() {
    auto statement = db_.prepare("SELECT DISTINCT lease FROM pins");
    std::vector<std::string> out;
    while (statement.next()) out.push_back(statement.text(0));
    return out;
}

void Tables::drop_pins(std::string_view lease) {
    db_.prepare("DELETE FROM pins WHERE lease = ?").bind(lease).run();
}

SyncPoint Tables::sync_point() {
    return {.layers = db_.query_integer("SELECT max(seq) FROM layers"),
            .blobs = db_.query_integer("SELECT max(seq) FROM blobs")};
}

bool Tables::has_unsynced() {
    auto statement = db_.prepare(
        "SELECT EXISTS(SELECT 1 FROM layers WHERE synced = 0 AND boot_id = ?1)"
        " OR EXISTS(SELECT 1 FROM blobs WHERE synced = 0 AND boot_id = ?1)");
    statement.bind(boot_id_);
    return statement.next() && statement.integer(0) != 0;
}

void Tables::mark_synced(const SyncPoint& point) {
    db_.prepare("UPDATE layers SET synced = 1 WHERE synced = 0 AND boot_id = ? AND seq <= ?")
        .bind(boot_id_)
        .bind(point.layers)
        .run();
    db_.prepare("UPDATE blobs SET synced = 1 WHERE synced = 0 AND boot_id = ? AND seq <= ?")
        .bind(boot_id_)
        .bind(point.blobs)
        .run();
}

}  // namespace imgbuild::layers
