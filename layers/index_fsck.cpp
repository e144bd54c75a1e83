// Questions to the index about itself: rows that lead nowhere, and what SQLite finds wrong with its own file.
#include "layers/index_db.hpp"

namespace imgbuild::layers {

namespace {

constexpr const char* kLostKeys = "FROM keys WHERE layer_id NOT IN (SELECT id FROM layers)";
constexpr const char* kLostForms = "FROM forms WHERE digest NOT IN (SELECT digest FROM blobs)";
constexpr const char* kLostBlocks = "FROM blocks WHERE digest NOT IN (SELECT digest FROM blobs)";
constexpr const char* kLostNames = "FROM names WHERE image_id NOT IN (SELECT id FROM images)";

std::vector<std::string> column(sqlite::Statement statement) {
    std::vector<std::string> out;
    while (statement.next()) out.push_back(statement.text(0));
    return out;
}

}  // namespace

std::vector<std::string> Tables::lost_keys() {
    return column(db_.prepare(std::string("SELECT lower(hex(key)) ") + kLostKeys));
}

std::vector<std::string> Tables::lost_forms() {
    return column(db_.prepare(std::string("SELECT lower(hex(diff_id)) ") + kLostForms));
}

std::vector<std::string> Tables::lost_blocks() {
    return column(db_.prepare(std::string("SELECT DISTINCT lower(hex(digest)) ") + kLostBlocks));
}

std::vector<std::string> Tables::lost_names() {
    return column(db_.prepare(std::string("SELECT name ") + kLostNames));
}

void Tables::drop_lost_keys() {
    db_.prepare(std::string("DELETE ") + kLostKeys).run();
}

void Tables::drop_lost_names() {
    db_.prepare(std::string("DELETE ") + kLostNames).run();
}

std::vector<Digest> Tables::damaged_images() {
    auto statement = db_.prepare("SELECT id, config, length(diff_ids) FROM images");
    std::vector<Digest> out;
    while (statement.next()) {
        const Digest id = statement.digest(0);
        if (util::Sha256::of(statement.bytes(1)) != id || statement.integer(2) % 32 != 0) out.push_back(id);
    }
    return out;
}

void Tables::trust_blob(const Digest& digest) {
    db_.prepare("UPDATE blobs SET synced = 1 WHERE digest = ? AND boot_id <> ?").bind(digest).bind(boot_id_).run();
}

void Tables::unpin_layer(std::string_view lease, const LayerId& id) {
    db_.prepare("DELETE FROM pins WHERE lease = ? AND kind = 'layer' AND object = ?").bind(lease).bind(id.text()).run();
}

void Tables::unpin_blob(std::string_view lease, const Digest& digest) {
    db_.prepare("DELETE FROM pins WHERE lease = ? AND kind = 'blob' AND object = ?").bind(lease).bind(digest).run();
}

std::vector<std::string> Index::find_damage() {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out = column(database_.prepare("PRAGMA integrity_check(20)"));
    if (out == std::vector<std::string>{"ok"}) out.clear();
    return out;
}

void Index::rebuild_search_trees() {
    const std::lock_guard lock(mutex_);
    database_.execute("REINDEX");
}

}  // namespace imgbuild::layers
