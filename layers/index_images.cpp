// Tables of the index that speak of images and of the user's files.
#include "layers/index_db.hpp"
#include "layers/store_data.hpp"
#include "util/clock.hpp"

#include <imgbuild/error.hpp>

#include <cstring>

namespace imgbuild::layers {
namespace {

constexpr std::int64_t kDayNs = 86'400'000'000'000;
// A record has some kilobytes.
constexpr std::int64_t kMostDirectories = 100'000;

// A list of diff ids is their bytes, one after another.
std::string join(const std::vector<DiffId>& diff_ids) {
    std::string out;
    for (const DiffId& diff_id : diff_ids) {
        for (const std::uint8_t byte : diff_id.digest().bytes()) out += static_cast<char>(byte);
    }
    return out;
}

// SQLite's integers are signed; the bits are what matters.
std::int64_t bits(std::uint64_t value) {
    return static_cast<std::int64_t>(value);
}

}  // namespace

std::vector<DiffId> split_diff_ids(const std::string& bytes) {
    Digest::Bytes one{};
    if (bytes.size() % one.size() != 0) {
        throw Error({.code = "store.damaged",
                     .message = "an image's list of layers in the index has a broken length",
                     .hint = "`imgbuild fsck --repair` removes the image; everything in the store can be made again",
                     .where = {}});
    }
    std::vector<DiffId> out;
    for (std::size_t at = 0; at < bytes.size(); at += one.size()) {
        std::memcpy(one.data(), bytes.data() + at, one.size());
        out.emplace_back(Digest(one));
    }
    return out;
}

void Tables::put_image(const ImageRecord& image) {
    db_.prepare(
           "INSERT OR REPLACE INTO images (id, config, diff_ids, created, size, last_used) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(image.id)
        .bind_bytes(image.config)
        .bind_bytes(join(image.diff_ids))
        .bind(image.created)
        .bind(bits(image.size))
        .bind(util::now_ns())
        .run();
}

void Tables::put_name(const std::string& name, const Digest& image) {
    db_.prepare("INSERT OR REPLACE INTO names (name, image_id) VALUES (?, ?)").bind(name).bind(image).run();
}

bool Tables::has_image(const Digest& id) {
    return db_.prepare("SELECT 1 FROM images WHERE id = ?").bind(id).next();
}

std::optional<Digest> Tables::image_of_name(std::string_view name) {
    auto statement = db_.prepare("SELECT image_id FROM names WHERE name = ?");
    if (!statement.bind(name).next()) return std::nullopt;
    return statement.digest(0);
}

std::vector<Digest> Tables::image_ids(const Digest& from, const Digest& to, std::size_t limit) {
    auto statement = db_.prepare("SELECT id FROM images WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?");
    statement.bind(from).bind(to).bind(bits(limit));
    std::vector<Digest> out;
    while (statement.next()) out.push_back(statement.digest(0));
    return out;
}

std::optional<ImageRecord> Tables::image(const Digest& id) {
    ImageRecord out;
    {
        auto statement = db_.prepare("SELECT config, diff_ids, created, size FROM images WHERE id = ?");
        if (!statement.bind(id).next()) return std::nullopt;
        out.id = id;
        out.config = statement.bytes(0);
        out.diff_ids = split_diff_ids(statement.bytes(1));
        out.created = statement.integer(2);
        out.size = static_cast<std::uint64_t>(statement.integer(3));
    }
    auto names = db_.prepare("SELECT name FROM names WHERE image_id = ? ORDER BY name");
    names.bind(id);
    while (names.next()) out.names.push_back(names.text(0));
    return out;
}

std::vector<Digest> Tables::all_images() {
    auto statement = db_.prepare("SELECT id FROM images ORDER BY created DESC, id");
    std::vector<Digest> out;
    while (statement.next()) out.push_back(statement.digest(0));
    return out;
}

std::uint64_t Tables::drop_images() {
    db_.prepare("DELETE FROM names").run();
    return static_cast<std::uint64_t>(db_.prepare("DELETE FROM images").run());
}

void Tables::drop_image(const Digest& id) {
    db_.prepare("DELETE FROM names WHERE image_id = ?").bind(id).run();
    db_.prepare("DELETE FROM images WHERE id = ?").bind(id).run();
}

void Tables::drop_old_checksums() {
    constexpr std::int64_t kKeptDays = 30;
    db_.prepare("DELETE FROM checksums WHERE last_used < ?").bind(util::now_ns() - kKeptDays * kDayNs).run();
}

void Tables::drop_memories() {
    db_.prepare("DELETE FROM checksums").run();
    db_.prepare("DELETE FROM directories").run();
    db_.prepare("DELETE FROM costs").run();
}

std::optional<Digest> Tables::checksum(const FileFingerprint& file) {
    std::optional<Digest> out;
    std::int64_t last_used = 0;
    {
        auto statement = db_.prepare(
            "SELECT digest, last_used FROM checksums"
            " WHERE device = ? AND inode = ? AND size = ? AND mtime = ? AND ctime = ?");
        statement.bind(bits(file.device)).bind(bits(file.inode)).bind(bits(file.size));
        if (!statement.bind(file.mtime).bind(file.ctime).next()) return std::nullopt;
        out = statement.digest(0);
        last_used = statement.integer(1);
    }
    // Once a day is enough for clean-up, and keeps a warm build from writing a row per file.
    const std::int64_t now = util::now_ns();
    if (now - last_used > kDayNs) {
        db_.prepare("UPDATE checksums SET last_used = ? WHERE device = ? AND inode = ?")
            .bind(now)
            .bind(bits(file.device))
            .bind(bits(file.inode))
            .run();
    }
    return out;
}

void Tables::put_checksum(const FileFingerprint& file, const Digest& digest) {
    db_.prepare(
           "INSERT OR REPLACE INTO checksums (device, inode, size, mtime, ctime, digest, last_used)"
           " VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(bits(file.device))
        .bind(bits(file.inode))
        .bind(bits(file.size))
        .bind(file.mtime)
        .bind(file.ctime)
        .bind(digest)
        .bind(util::now_ns())
        .run();
}

std::string Tables::known_directory(std::uint64_t device, std::uint64_t inode) {
    auto statement = db_.prepare("SELECT files FROM directories WHERE device = ? AND inode = ?");
    statement.bind(bits(device)).bind(bits(inode));
    return statement.next() ? statement.bytes(0) : std::string();
}

void Tables::put_known_directory(const KnownDirectory& directory) {
    db_.prepare("INSERT OR REPLACE INTO directories (device, inode, files) VALUES (?, ?, ?)")
        .bind(bits(directory.device))
        .bind(bits(directory.inode))
        .bind_bytes(directory.files)
        .run();
    db_.prepare("DELETE FROM directories WHERE seq <= (SELECT max(seq) FROM directories) - ?")
        .bind(kMostDirectories)
        .run();
}

}  // namespace imgbuild::layers
