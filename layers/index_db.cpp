#include "layers/index_db.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <array>

namespace imgbuild::layers {
namespace {

// What leads from each version of the format to the next; the first one makes the tables, so a new store and an old one
// end up the same. What is here stays as it is once a release has it.
//
// `seq` orders rows by birth and is never used twice (AUTOINCREMENT), which sync_point() needs.
constexpr const char* kToVersion1 = R"sql(
CREATE TABLE layers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    diff_id BLOB,
    key BLOB,
    tar_size INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    synced INTEGER NOT NULL,
    created INTEGER NOT NULL,
    last_used INTEGER NOT NULL);
CREATE INDEX layers_by_diff_id ON layers (diff_id);
CREATE TABLE keys (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE,
    layer_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    slot TEXT NOT NULL,
    ingredients TEXT NOT NULL,
    created INTEGER NOT NULL);
CREATE INDEX keys_by_slot ON keys (slot, seq);
CREATE INDEX keys_by_layer ON keys (layer_id);
CREATE TABLE blobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    synced INTEGER NOT NULL,
    last_used INTEGER NOT NULL);
CREATE TABLE forms (
    diff_id BLOB NOT NULL,
    codec_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    media_type TEXT NOT NULL,
    PRIMARY KEY (diff_id, codec_id)) WITHOUT ROWID;
CREATE TABLE images (
    id BLOB PRIMARY KEY,
    config BLOB NOT NULL,
    diff_ids BLOB NOT NULL,
    created INTEGER NOT NULL,
    size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE names (
    name TEXT PRIMARY KEY,
    image_id BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX names_by_image ON names (image_id);
CREATE TABLE checksums (
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    ctime INTEGER NOT NULL,
    digest BLOB NOT NULL,
    last_used INTEGER NOT NULL,
    PRIMARY KEY (device, inode)) WITHOUT ROWID;
CREATE TABLE pins (
    lease TEXT NOT NULL,
    kind TEXT NOT NULL,
    object NOT NULL,
    PRIMARY KEY (lease, kind, object)) WITHOUT ROWID;
CREATE INDEX pins_by_object ON pins (kind, object);
)sql";

// `disk` is what an object takes of the disk, in bytes; NULL until it was measured. When an image was last used nobody
// has noted before, so none counts as old.
constexpr const char* kToVersion2 = R"sql(
ALTER TABLE layers ADD COLUMN disk INTEGER;
ALTER TABLE blobs ADD COLUMN disk INTEGER;
ALTER TABLE images ADD COLUMN last_used INTEGER NOT NULL DEFAULT 0;
UPDATE images SET last_used = CAST(strftime('%s', 'now') AS INTEGER) * 1000000000;
CREATE TABLE mounts (
    path TEXT PRIMARY KEY,
    disk INTEGER NOT NULL,
    measured INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE costs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    step BLOB NOT NULL UNIQUE,
    time INTEGER NOT NULL,
    memory INTEGER NOT NULL);
)sql";

// `tree` is 0 for a layer that has a blob and no tree.
constexpr const char* kToVersion3 = R"sql(
ALTER TABLE layers ADD COLUMN tree INTEGER NOT NULL DEFAULT 1;
CREATE TABLE remotes (
    diff_id BLOB PRIMARY KEY,
    repository TEXT NOT NULL,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (
    print INTEGER NOT NULL,
    codec_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (print, codec_id)) WITHOUT ROWID;
CREATE INDEX blocks_by_blob ON blocks (digest);
CREATE TABLE directories (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    files BLOB NOT NULL,
    UNIQUE (device, inode));
)sql";

constexpr std::array kMigrations = {kToVersion1, kToVersion2, kToVersion3};
constexpr auto kSchemaVersion = static_cast<std::int64_t>(kMigrations.size());

void refuse_newer(std::int64_t version, const std::string& path) {
    if (version <= kSchemaVersion) return;
    throw Error({.code = "store.too-new",
                 .message = fmt::format("the store's index {} has format {}, and this imgbuild knows only up to {}",
                                        util::quote(path), version, kSchemaVersion),
                 .hint = "use the later imgbuild that made it, or another store: set IMGBUILD_ROOT or --root",
                 .where = {}});
}

}  // namespace

// Opening is serialised between processes by the caller's lock (store_data.cpp): the change to WAL needs the file for
// itself alone and does not always wait for it.
Index::Index(const std::string& path, std::string boot_id) : database_(path), boot_id_(std::move(boot_id)) {
    refuse_newer(database_.query_integer("PRAGMA user_version"), path);
    database_.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    write([&](Tables&) {
        const std::int64_t version = database_.query_integer("PRAGMA user_version");
        if (version == kSchemaVersion) return;
        // Somebody's later imgbuild may have come between.
        refuse_newer(version, path);
        for (auto next = static_cast<std::size_t>(version); next < kMigrations.size(); ++next) {
            database_.execute(kMigrations[next]);
        }
        database_.execute(fmt::format("PRAGMA user_version = {}", kSchemaVersion));
    });
}

}  // namespace imgbuild::layers
