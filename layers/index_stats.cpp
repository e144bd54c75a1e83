// Questions to the index about all objects at once, for accounting.
#include "layers/index_db.hpp"

namespace imgbuild::layers {
namespace {

std::optional<std::uint64_t> size_at(const sqlite::Statement& statement, int column) {
    if (statement.is_null(column)) return std::nullopt;
    return static_cast<std::uint64_t>(statement.integer(column));
}

}  // namespace

std::vector<LayerStat> Tables::layer_stats() {
    auto statement = db_.prepare(
        "SELECT l.id, diff_id, disk, last_used, EXISTS(SELECT 1 FROM pins WHERE kind = 'layer' AND object = l.id),"
        " k.kind, k.ingredients, l.seq, l.tree"
        " FROM layers AS l LEFT JOIN keys AS k ON k.seq = (SELECT max(seq) FROM keys WHERE layer_id = l.id)"
        " ORDER BY last_used, l.seq");
    std::vector<LayerStat> out;
    while (statement.next()) {
        LayerStat& row = out.emplace_back();
        row.id = LayerId(statement.text(0));
        if (!statement.is_null(1)) row.diff_id = DiffId(statement.digest(1));
        row.disk = size_at(statement, 2);
        row.last_used = statement.integer(3);
        row.held = statement.integer(4) != 0;
        row.kind = statement.text(5);
        row.ingredients = statement.text(6);
        row.seq = statement.integer(7);
        row.has_tree = statement.integer(8) != 0;
    }
    return out;
}

std::vector<BlobStat> Tables::blob_stats() {
    auto statement = db_.prepare(
        "SELECT digest, size, disk, last_used, EXISTS(SELECT 1 FROM pins WHERE kind = 'blob' AND object = digest)"
        " FROM blobs ORDER BY last_used, seq");
    std::vector<BlobStat> out;
    while (statement.next()) {
        out.push_back(
            {.blob = {.digest = statement.digest(0), .size = static_cast<std::uint64_t>(statement.integer(1))},
             .disk = size_at(statement, 2),
             .last_used = statement.integer(3),
             .held = statement.integer(4) != 0});
    }
    return out;
}

std::vector<ImageStat> Tables::image_stats() {
    std::vector<ImageStat> out;
    {
        auto statement = db_.prepare("SELECT id, diff_ids, last_used FROM images ORDER BY last_used, id");
        while (statement.next()) {
            out.push_back({.id = statement.digest(0),
                           .diff_ids = split_diff_ids(statement.bytes(1)),
                           .last_used = statement.integer(2),
                           .names = {}});
        }
    }
    for (ImageStat& image : out) {
        auto names = db_.prepare("SELECT name FROM names WHERE image_id = ? ORDER BY name");
        names.bind(image.id);
        while (names.next()) image.names.push_back(names.text(0));
    }
    return out;
}

std::vector<FormRow> Tables::all_forms() {
    auto statement = db_.prepare("SELECT diff_id, digest FROM forms");
    std::vector<FormRow> out;
    while (statement.next()) out.push_back({.diff_id = DiffId(statement.digest(0)), .blob = statement.digest(1)});
    return out;
}

std::optional<std::uint64_t> Tables::layer_disk(const LayerId& id) {
    auto statement = db_.prepare("SELECT disk FROM layers WHERE id = ?");
    return statement.bind(id.text()).next() ? size_at(statement, 0) : std::nullopt;
}

void Tables::set_layer_disk(const LayerId& id, std::uint64_t disk) {
    db_.prepare("UPDATE layers SET disk = ? WHERE id = ?").bind(static_cast<std::int64_t>(disk)).bind(id.text()).run();
}

void Tables::set_blob_disk(const Digest& digest, std::uint64_t disk) {
    db_.prepare("UPDATE blobs SET disk = ? WHERE digest = ?").bind(static_cast<std::int64_t>(disk)).bind(digest).run();
}

std::uint64_t Tables::total_disk() {
    return static_cast<std::uint64_t>(db_.query_integer(
        "SELECT coalesce((SELECT sum(disk) FROM layers), 0) + coalesce((SELECT sum(disk) FROM blobs), 0)"));
}

std::optional<MountSize> Tables::mount_size(std::string_view path) {
    auto statement = db_.prepare("SELECT disk, measured FROM mounts WHERE path = ?");
    if (!statement.bind(path).next()) return std::nullopt;
    return MountSize{.disk = static_cast<std::uint64_t>(statement.integer(0)), .measured = statement.integer(1)};
}

void Tables::put_mount_size(std::string_view path, const MountSize& size) {
    db_.prepare("INSERT OR REPLACE INTO mounts (path, disk, measured) VALUES (?, ?, ?)")
        .bind(path)
        .bind(static_cast<std::int64_t>(size.disk))
        .bind(size.measured)
        .run();
}

void Tables::drop_mount_size(std::string_view path) {
    db_.prepare("DELETE FROM mounts WHERE path = ?").bind(path).run();
}

}  // namespace imgbuild::layers
