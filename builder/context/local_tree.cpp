#include "builder/context/local_tree.hpp"

#include <imgbuild/error.hpp>

#include "layers/fingerprint.hpp"
#include "layers/stat_entry.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <climits>

namespace imgbuild::builder {
namespace {

using layers::EntryType;
using util::Follow;

constexpr int kMaxLinks = 40;

Error socket_in_context(const std::string& path) {
    return Error({.code = "source.socket",
                  .message = fmt::format("{} in the context is a socket, which no image can hold", util::quote(path)),
                  .hint = "exclude it in .dockerignore",
                  .where = {}});
}

std::string read_link_at(int directory, const std::string& name, const std::string& path) {
    char buffer[PATH_MAX];
    const ssize_t n = ::readlinkat(directory, name.c_str(), buffer, sizeof buffer);
    if (n < 0) throw IoError("read the link", path, errno);
    return {buffer, static_cast<std::size_t>(n)};
}

// Some file systems do not say in their lists.
bool may_be_directory(const util::DirEntry& entry) {
    return entry.type == DT_DIR || entry.type == DT_UNKNOWN;
}

}  // namespace

LocalTree::LocalTree(util::RootedDir root, parser::IgnoreMatcher ignore, std::string ignore_name,
                     std::optional<DirectoryId> hidden, layers::Store* memory)
    : root_(std::move(root)),
      ignore_(std::move(ignore)),
      ignore_name_(std::move(ignore_name)),
      hidden_(hidden),
      memory_(memory == nullptr ? nullptr : std::make_unique<DirectoryMemory>(*memory)) {}

bool LocalTree::visible(std::string_view path, bool is_directory) const {
    if (path.empty() || ignore_.empty() || !ignore_.excluded(path)) return true;
    // An excluded directory is still there if an exception brings back something below it.
    return is_directory && !ignore_.can_skip(path) && has_visible(path);
}

bool LocalTree::has_visible(std::string_view directory) const {
    const auto fd = root_.find(directory, O_RDONLY | O_DIRECTORY, Follow::no);
    if (!fd) return false;
    for (const util::DirEntry& entry : util::list_directory(fd->get(), directory)) {
        if (visible(layers::join_path(directory, entry.name), may_be_directory(entry))) return true;
    }
    return false;
}

std::optional<SourceFileInfo> LocalTree::describe(int directory, const std::string& name, std::string path,
                                                  DirectoryMemory::Visit* visit) const {
    struct stat status {};
    const int flags = name.empty() ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
    util::check(::fstatat(directory, name.c_str(), &status, flags), "look at", path);
    if (hidden_ == DirectoryId(status.st_dev, status.st_ino)) return std::nullopt;
    if (S_ISSOCK(status.st_mode)) throw socket_in_context(path);
    SourceFileInfo out{.entry = layers::stat_entry("", status), .link_group = {}};
    layers::Entry& entry = out.entry;
    entry.path = std::move(path);
    entry.uid = 0;
    entry.gid = 0;
    if (entry.type == EntryType::symlink) {
        entry.mode = 0777;
        entry.link_target = read_link_at(directory, name, entry.path);
    }
    if (entry.type == EntryType::file) out.seen = layers::fingerprint_of(status);
    if (entry.type == EntryType::file && status.st_nlink > 1) out.link_group = {status.st_dev, status.st_ino};
    if (out.seen && visit != nullptr) out.content = visit->recall(name, *out.seen);
    if (out.content) return out;  // and then it has no attributes
    entry.xattrs = util::read_xattrs_at(directory, name.empty() ? "." : name, entry.path);
    std::erase_if(entry.xattrs, [](const auto& xattr) { return layers::is_written_by_host(xattr.first); });
    layers::normalise_capabilities(entry.xattrs);
    return out;
}

std::optional<SourceFileInfo> LocalTree::find(std::string_view path) const {
    const auto fd = root_.find(path, O_PATH, Follow::no);
    if (!fd) return std::nullopt;
    std::optional<SourceFileInfo> out;
    if (path.empty()) {
        out = describe(fd->get(), "", "");
    } else {
        const util::Place place = root_.open_parent(path);
        out = describe(place.directory.get(), place.name, std::string(path));
    }
    if (!out || !visible(path, out->entry.type == EntryType::directory)) return std::nullopt;
    return out;
}

std::string LocalTree::resolve(std::string_view path) const {
    std::string done;
    std::string rest = util::clean_path(path);
    for (int links = 0; !rest.empty();) {
        const std::size_t slash = rest.find('/');
        const std::string name = rest.substr(0, slash);
        rest = slash == std::string::npos ? "" : rest.substr(slash + 1);
        if (name == "..") {
            done = done.empty() ? "" : std::string(layers::parent_path(done));
            continue;
        }
        const std::string here = layers::join_path(done, name);
        const auto status = root_.stat(here, Follow::no);
        if (!status || !S_ISLNK(status->st_mode)) {
            done = here;
            continue;
        }
        if (++links > kMaxLinks) throw IoError("follow the link", std::string(path), ELOOP);
        const std::string target = root_.read_link(here);
        if (target.starts_with('/')) done.clear();
        std::string next;
        for (const std::string_view part : util::path_components(target)) next = layers::join_path(next, part);
        rest = rest.empty() ? next : layers::join_path(next, rest);
    }
    return done;
}

std::vector<SourceFileInfo> LocalTree::children(std::string_view directory) const {
    const util::Fd fd = root_.open_file(directory, O_RDONLY | O_DIRECTORY, Follow::no);
    std::optional<DirectoryMemory::Visit> visit;
    if (memory_) visit = memory_->visit(fd.get(), std::string(directory));
    const std::vector<util::DirEntry> entries = util::list_directory(fd.get(), directory);
    std::vector<SourceFileInfo> out;
    out.reserve(entries.size());
    for (const util::DirEntry& entry : entries) {
        std::string path = layers::join_path(directory, entry.name);
        if (!visible(path, may_be_directory(entry))) continue;
        auto child = describe(fd.get(), entry.name, std::move(path), visit ? &*visit : nullptr);
        if (child) out.push_back(std::move(*child));
    }
    if (visit && visit->has_gaps()) memory_->expect(std::string(directory), *visit, out);
    return out;
}

void LocalTree::learn(const std::vector<const SourceFileInfo*>& files, const std::vector<Digest>& contents) const {
    if (memory_) memory_->learn(files, contents);
}

layers::OpenContent LocalTree::open(const SourceFileInfo& file) const {
    return {.fd = root_.open_file(file.entry.path, O_RDONLY | O_NONBLOCK | O_NOCTTY, Follow::no)};
}

std::string LocalTree::why_absent(std::string_view path) const {
    if (path.empty() || !ignore_.excluded(path)) return {};
    return fmt::format("it is excluded by {}", util::quote(ignore_name_));
}

}  // namespace imgbuild::builder
