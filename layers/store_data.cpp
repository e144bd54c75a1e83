#include "layers/store_data.hpp"

#include <imgbuild/error.hpp>

#include "layers/file_system.hpp"
#include "layers/pack.hpp"
#include "util/rooted_dir.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

namespace imgbuild::layers {
namespace {

constexpr std::size_t kMaxNames = std::size_t{1} << 30;
constexpr std::size_t kChecksumBytes = 32;
// What helps if a store cannot be made; a full disk has a hint of its own.
std::string place_hint(int error_number) {
    if (error_number == ENOSPC || error_number == EDQUOT) return {};
    return "set IMGBUILD_ROOT or --root to a directory that you may write to";
}

// Tells backup tools to leave the store alone. Format: bford.info/cachedir
constexpr std::string_view kCacheTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# imgbuild keeps here what it can make again; see docs/store-format.md.\n";

// Makes one directory with exactly `mode`, whatever the umask; leaves one that exists as it is.
void ensure_directory(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) == 0) {
        util::check(::chmod(path.c_str(), mode), "set the mode of", path);
    } else if (errno != EEXIST) {
        throw IoError("make the directory", path, errno, place_hint(errno));
    }
}

void make_parents(const std::string& root) {
    const std::string parent = root.substr(0, root.rfind('/'));
    if (parent.empty()) return;
    try {
        util::make_directories(parent);
    } catch (const IoError& error) {
        throw IoError("make the directory", parent, error.error_number(), place_hint(error.error_number()));
    }
}

void make_skeleton(const std::string& root) {
    make_parents(root);
    // Files of steps may be set-user-id, and their contents somebody's: nobody else passes through here.
    ensure_directory(root, 0700);
    for (const char* name : {"/layers", "/blobs", "/blobs/sha256", "/mounts", "/tmp", "/tmp/claims", "/logs"}) {
        ensure_directory(root + name, 0700);
    }
    if (!path_exists(root + "/CACHEDIR.TAG")) {
        util::AtomicFile tag(root + "/CACHEDIR.TAG");
        tag.write(kCacheTag);
        tag.commit();
    }
}

std::string boot_id() {
    try {
        return std::string(util::trim(util::read_file("/proc/sys/kernel/random/boot_id", 64)));
    } catch (const IoError&) {
        // A container may hide the file. An id that nobody else has makes every later process verify what we wrote.
        return random_name();
    }
}

}  // namespace

std::string random_name() {
    std::array<unsigned char, 16> bytes{};
    // Requests of up to 256 bytes are not cut short once the kernel's pool is ready.
    util::check(static_cast<int>(::getrandom(bytes.data(), bytes.size(), 0)), "read random bytes", "");
    std::string out;
    for (const unsigned char byte : bytes) out += fmt::format("{:02x}", byte);
    return out;
}

bool path_exists(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    throw IoError("look at", path, errno);
}

std::string absolute_root(const std::string& root) {
    std::error_code error;
    std::string path = std::filesystem::absolute(root, error).lexically_normal().string();
    if (error || root.empty()) throw IoError("open the store", root, error ? error.value() : ENOENT);
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path;
}

std::vector<std::string> names_in(const std::string& path) {
    std::vector<std::string> out;
    util::Fd directory;
    try {
        directory = util::open_path(path, O_RDONLY | O_DIRECTORY);
    } catch (const IoError& error) {
        if (error.error_number() == ENOENT || error.error_number() == ENOTDIR) return out;
        throw;
    }
    for (util::DirEntry& entry : util::list_directory(directory.get(), path)) out.push_back(std::move(entry.name));
    return out;
}

StoreData::StoreData(std::string root, const StoreOptions& options) : root_(std::move(root)), options_(options) {
    require_reliable_file_system(root_);
    make_skeleton(root_);
    directory_ = util::open_path(root_, O_RDONLY | O_DIRECTORY);
    open_index();
}

void StoreData::open_index() {
    if (::access(root_.c_str(), W_OK) != 0) throw IoError("write to", root_, errno, place_hint(errno));
    // One process at a time: the first one makes the tables and turns the index to WAL.
    const auto guard = util::FileLock::acquire(temporary("open.lock"), util::FileLock::Kind::exclusive);
    index_ = std::make_unique<Index>(root_ + "/index.db", boot_id());
}

std::string StoreData::retire(const std::string& path) const {
    std::string target = temporary("dead-" + random_name());
    if (::rename(path.c_str(), target.c_str()) == 0 || errno == ENOENT) return target;
    throw IoError("move aside", path, errno);
}

bool StoreData::is_layer_present(Tables& tables, const LayerRow& row) const {
    if (!path_exists(layer_path(row.id) + "/names")) return false;
    return row.has_tree ? path_exists(layer_path(row.id) + "/tree") : !present_blobs(tables, row).empty();
}

std::vector<BlobInfo> StoreData::present_blobs(Tables& tables, const LayerRow& row) const {
    std::vector<BlobInfo> out;
    if (!row.facts.diff_id) return out;
    for (const BlobForm& form : tables.forms(*row.facts.diff_id, "")) {
        if (is_blob_present(form.blob)) out.push_back(form.blob);
    }
    return out;
}

void write_names(const std::string& path, std::string_view names) {
    if (names.size() > kMaxNames) {
        throw Error({.code = "resources.layer-too-large",
                     .message = fmt::format("a layer's name index has {}, and the store takes {}",
                                            util::human_size(names.size()), util::human_size(kMaxNames)),
                     .hint = {},
                     .where = {}});
    }
    util::AtomicFile file(path);
    file.write(names);
    util::write_all(file.fd(), std::as_bytes(std::span(util::Sha256::of(names).bytes())), path);
    file.commit();
}

std::string StoreData::read_names(const LayerId& id) const {
    const std::string path = layer_path(id) + "/names";
    std::string text = util::read_file(path, kMaxNames + kChecksumBytes);
    const std::string what = fmt::format("the name index {}", util::quote(path));
    if (text.size() < kChecksumBytes) {
        throw CorruptData(what, "a checksum at its end", fmt::format("{} bytes", text.size()));
    }
    Digest::Bytes bytes{};
    std::memcpy(bytes.data(), text.data() + text.size() - kChecksumBytes, kChecksumBytes);
    text.resize(text.size() - kChecksumBytes);
    if (const Digest actual = util::Sha256::of(text); actual != Digest(bytes)) {
        throw CorruptData(what, Digest(bytes).text(), actual.text());
    }
    return text;
}

bool StoreData::has_good_names(const LayerId& id) const {
    try {
        read_names(id);
        return true;
    } catch (const CorruptData&) {
        return false;
    } catch (const IoError& error) {
        if (error.error_number() == ENOENT || error.error_number() == ENOTDIR) return false;
        throw;
    }
}

bool StoreData::is_believed(const LayerRow& row) const {
    if (row.trusted) return true;
    if (!row.has_tree) return has_good_names(row.id);
    if (!row.facts.key || !row.facts.diff_id) return false;
    try {
        const NameIndex names = NameIndex::parse(read_names(row.id));
        const util::RootedDir tree = util::RootedDir::open(layer_path(row.id) + "/tree");
        return pack(names, tree, {}, nullptr, 1).diff_id == *row.facts.diff_id;
    } catch (const CorruptData&) {
        return false;
    } catch (const IoError& error) {
        if (error.error_number() == ENOENT || error.error_number() == ENOTDIR) return false;
        throw;
    }
}

void StoreData::drop_layer(const LayerId& id) {
    // Its directory stays: a running step may stand on it. A sweep takes it once nobody pins it.
    index().write([&](Tables& tables) { tables.drop_layer(id); });
}

bool StoreData::is_blob_present(const BlobInfo& blob) const {
    struct stat status {};
    const std::string path = blob_path(blob.digest);
    if (::lstat(path.c_str(), &status) == 0) return static_cast<std::uint64_t>(status.st_size) == blob.size;
    if (errno == ENOENT) return false;
    throw IoError("look at", path, errno);
}

bool StoreData::has_good_digest(const BlobInfo& blob) const {
    if (!is_blob_present(blob)) return false;
    const std::string path = blob_path(blob.digest);
    const util::Fd fd = util::open_path(path, O_RDONLY | O_NOFOLLOW);
    util::FdSource file(fd.get(), path);
    util::HashingSink hash;
    util::copy(file, hash);
    return hash.size() == blob.size && hash.digest() == blob.digest;
}

void StoreData::drop_blob(const Digest& digest) {
    index().write([&](Tables& tables) {
        tables.drop_blob(digest);
        retire(blob_path(digest));
    });
}

void StoreData::drop_blob_file(const Digest& digest, int fd) {
    index().write([&](Tables& tables) {
        struct stat ours {};
        struct stat theirs {};
        util::check(::fstat(fd, &ours), "look at", blob_path(digest));
        if (::lstat(blob_path(digest).c_str(), &theirs) == 0 &&
            (ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino)) {
            return;
        }
        tables.drop_blob(digest);
        retire(blob_path(digest));
    });
}

}  // namespace imgbuild::layers
