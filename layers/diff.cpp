#include "layers/diff.hpp"

#include <imgbuild/error.hpp>

#include "layers/failure.hpp"
#include "layers/id_map.hpp"
#include "layers/stat_entry.hpp"
#include "layers/tree_inodes.hpp"
#include "layers/tree_marks.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <map>
#include <optional>
#include <utility>

namespace imgbuild::layers {
namespace {

constexpr std::size_t kMaxPathBytes = 4095;
constexpr std::uint32_t kUnchanged = 0xffffffff;

std::string read_value(const std::string& path, const char* name, const std::string& what) {
    std::string value(256, '\0');
    for (;;) {
        const ssize_t n = ::lgetxattr(path.c_str(), name, value.data(), value.size());
        if (n >= 0) {
            value.resize(static_cast<std::size_t>(n));
            return value;
        }
        if (errno != ERANGE) throw IoError("read an extended attribute of", what, errno);
        value.resize(XATTR_SIZE_MAX);
    }
}

// The names, separated by NUL; most files have none, and that is one system call.
std::string list_names(const std::string& path, std::string& buffer, const std::string& what) {
    const ssize_t n = ::llistxattr(path.c_str(), buffer.data(), buffer.size());
    if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) return {};
    if (n < 0) throw IoError("list the extended attributes of", what, errno);
    return buffer.substr(0, static_cast<std::size_t>(n));
}

struct Item {
    Entry entry;
    /// Of a file with several names; both zero otherwise.
    dev_t device = 0;
    ino_t inode = 0;
    /// A device that is one in the tree, too.
    bool real_node = false;
};

bool can_own(std::uint32_t id, bool is_mapped(std::uint32_t)) {
    return id < kTreeIds && is_mapped(id);
}

bool is_device(const Entry& entry) {
    return entry.type == EntryType::char_device || entry.type == EntryType::block_device;
}

class Scanner {
public:
    Scanner(const util::RootedDir& upper, const ScanOptions& options)
        : upper_(upper), options_(options), names_buffer_(XATTR_LIST_MAX, '\0') {}

    ScanResult scan() {
        add_root();
        while (!todo_.empty()) {
            check_stop(options_.stop);
            const std::size_t next = todo_.back();
            todo_.pop_back();
            scan_directory(next);
        }
        std::sort(items_.begin(), items_.end(),
                  [](const Item& a, const Item& b) { return compare_paths(a.entry.path, b.entry.path) < 0; });
        join_names();
        replace_nodes();
        return finish();
    }

private:
    void add_root() {
        struct stat status {};
        util::check(::fstatat(upper_.fd(), "", &status, AT_EMPTY_PATH), "look at", "/");
        Item root{.entry = entry_of("", status)};
        add_xattrs(fmt::format("/proc/self/fd/{}", upper_.fd()), status, root.entry);
        const Entry* before = root_below();
        const util::Xattrs none;
        root.entry.implicit = root.entry.mode == (before != nullptr ? before->mode : kImplicitMode) &&
                              root.entry.uid == (before != nullptr ? before->uid : 0) &&
                              root.entry.gid == (before != nullptr ? before->gid : 0) &&
                              root.entry.xattrs == (before != nullptr ? before->xattrs : none);
        items_.push_back(std::move(root));
        todo_.push_back(0);
    }

    const Entry* root_below() const {
        const auto found = options_.below != nullptr ? options_.below->find("") : std::nullopt;
        return found ? found->entry : nullptr;
    }

    Entry entry_of(std::string path, const struct stat& status) const {
        if (S_ISCHR(status.st_mode) && status.st_rdev == 0) return whiteout_at(std::move(path));
        Entry entry = stat_entry(path, status);
        entry.mtime = std::min(entry.mtime, options_.layer_time);
        return entry;
    }

    // When the file went away says nothing about the layer.
    Entry whiteout_at(std::string path) const {
        return {.path = std::move(path), .type = EntryType::whiteout, .mtime = options_.layer_time};
    }

    // By index: the vector grows while its elements are worked on.
    void scan_directory(std::size_t index) {
        const std::string path = items_[index].entry.path;
        const util::Fd fd = upper_.open_file(path, O_RDONLY | O_DIRECTORY, util::Follow::no);
        for (const util::DirEntry& child : util::list_directory(fd.get(), path)) add_child(fd.get(), path, child.name);
        // Looked at again, since leaving out a socket changes the time.
        struct stat status {};
        util::check(::fstat(fd.get(), &status), "look at", path);
        const std::int64_t mtime = items_[index].entry.mtime;
        if (status.st_mtim.tv_sec != mtime || status.st_mtim.tv_nsec != 0) clamp(fd.get(), ".", mtime, path);
    }

    void add_child(int directory, const std::string& parent, const std::string& name) {
        Item item;
        std::string path = join_path(parent, name);
        if (path.size() > kMaxPathBytes) {
            throw Error({.code = "layers.path-too-long",
                         .message = fmt::format("the path {} has more than {} bytes", util::quote(path), kMaxPathBytes),
                         .hint = "remove such deep directories in the step that makes them",
                         .where = {}});
        }
        struct stat status {};
        util::check(::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW), "look at", path);
        if (S_ISSOCK(status.st_mode)) return drop_socket(directory, name, std::move(path));
        item.entry = entry_of(std::move(path), status);
        Entry& entry = item.entry;
        if (entry.type != EntryType::whiteout) describe(directory, name, status, item);
        if (entry.type == EntryType::whiteout) item = {.entry = whiteout_at(entry.path)};
        items_.push_back(std::move(item));
        if (items_.back().entry.type == EntryType::directory) todo_.push_back(items_.size() - 1);
    }

    void describe(int directory, const std::string& name, const struct stat& status, Item& item) {
        Entry& entry = item.entry;
        item.real_node = is_device(entry);
        const std::string file = fmt::format("/proc/self/fd/{}/{}", directory, name);
        add_xattrs(file, status, entry);
        if (entry.type == EntryType::symlink) entry.link_target = read_link(directory, name, entry.path);
        if (entry.type == EntryType::symlink || entry.type == EntryType::fifo) take_unknown_owner(entry);
        if (entry.type == EntryType::directory) return;  // its time comes after its contents
        const bool written_to = is_device(entry) && !item.real_node && status.st_size > 0;
        // A step wrote into what it took for the device; no other builder would have that.
        if (written_to) util::check(::truncate(file.c_str(), 0), "empty", entry.path);
        if (status.st_nlink > 1) {
            item.device = status.st_dev;
            item.inode = status.st_ino;
        }
        if (written_to || status.st_mtim.tv_sec != entry.mtime || status.st_mtim.tv_nsec != 0) {
            clamp(directory, name, entry.mtime, entry.path);
        }
    }

    static void clamp(int directory, const std::string& name, std::int64_t mtime, const std::string& path) {
        const timespec time{.tv_sec = mtime, .tv_nsec = 0};
        const std::array<timespec, 2> times{time, time};
        util::check(::utimensat(directory, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW), "set the time of", path);
    }

    static std::string read_link(int directory, const std::string& name, const std::string& path) {
        std::array<char, PATH_MAX> buffer{};
        const ssize_t n = ::readlinkat(directory, name.c_str(), buffer.data(), buffer.size());
        util::check(n < 0 ? -1 : 0, "read the link", path);
        return {buffer.data(), static_cast<std::size_t>(n)};
    }

    void drop_socket(int directory, const std::string& name, std::string path) {
        util::check(::unlinkat(directory, name.c_str(), 0), "remove", path);
        if (shows_through(path)) {
            items_.push_back({.entry = whiteout_at(path)});
            TreeInodes(upper_).make_node(items_.back().entry);
        }
        sockets_.push_back(std::move(path));
    }

    // The socket took something's place, which must not come back without it.
    bool shows_through(const std::string& path) const {
        if (options_.below == nullptr || !options_.below->find(path)) return false;
        return std::none_of(items_.begin(), items_.end(),
                            [&](const Item& item) { return item.entry.opaque && is_inside(path, item.entry.path); });
    }

    void add_xattrs(const std::string& file, const struct stat& status, Entry& entry) {
        const std::string names = list_names(file, names_buffer_, entry.path);
        util::Xattrs held;
        for (const std::string_view listed : util::split(names, '\0')) {
            if (listed.empty() || is_written_by_host(listed)) continue;
            const std::string name(listed);
            auto real = true_name(name);
            if (!real) {
                take_private(file, name, status, entry);
            } else if (!is_written_by_host(*real)) {
                auto& to = is_held(name) ? held : entry.xattrs;
                to.insert_or_assign(std::move(*real), read_value(file, name.c_str(), entry.path));
            }
        }
        if (!held.empty()) entry.overridden = true;
        // One that is there under its own name was set later than one that is held.
        entry.xattrs.merge(held);
        normalise_capabilities(entry.xattrs);
    }

    void take_private(const std::string& file, const std::string& name, const struct stat& status, Entry& entry) {
        if (name == kWhiteoutXattr) {
            if (entry.type == EntryType::file && entry.size == 0) entry.type = EntryType::whiteout;
        } else if (name == kDeviceMark) {
            const bool stands = entry.type == EntryType::file;
            if (stands && apply_device_mark(read_value(file, name.c_str(), entry.path), entry)) entry.overridden = true;
        } else if (name == kOwnerMark) {
            take_owner(file, status, entry);
        } else if (name == kOpaqueXattr) {
            if (read_value(file, name.c_str(), entry.path) != "y") return;
            entry.opaque = hides_something(entry.path);
            if (entry.opaque) return;
            util::check(::lremovexattr(file.c_str(), name.c_str()), "remove the opaque mark of", entry.path);
        } else if (name == "user.overlay.metacopy" || name == "user.overlay.redirect") {
            throw Error({.code = "internal.overlay-feature",
                         .message = fmt::format("{} has {}, a feature of overlayfs that we do not enable",
                                                util::quote(entry.path), name),
                         .hint = {},
                         .where = {}});
        }
    }

    void take_owner(const std::string& file, const struct stat& status, Entry& entry) {
        const auto mark = OwnerMark::parse(read_value(file, kOwnerMark, entry.path));
        const bool uid_holds = mark && mark->inode_uid == status.st_uid;
        const bool gid_holds = mark && mark->inode_gid == status.st_gid;
        if (uid_holds) entry.uid = mark->uid;
        if (gid_holds) entry.gid = mark->gid;
        entry.overridden = entry.overridden || uid_holds || gid_holds;
        if (uid_holds && gid_holds) return;
        // What does not hold any more must not hold again after yet another change.
        if (!uid_holds && !gid_holds) {
            util::check(::lremovexattr(file.c_str(), kOwnerMark), "remove the owner mark of", entry.path);
            return;
        }
        const OwnerMark now{.uid = entry.uid, .gid = entry.gid, .inode_uid = status.st_uid, .inode_gid = status.st_gid};
        const std::string text = now.text();
        util::check(::lsetxattr(file.c_str(), kOwnerMark, text.data(), text.size(), 0), "mark", entry.path);
    }

    // Links and fifos take no marks. What a step did to such a one is told by the sandbox; for one that was so before
    // the step, the layers below are asked by its path.
    void take_unknown_owner(Entry& entry) const {
        const auto given = options_.given_away.find(entry.path);
        const auto found = options_.below != nullptr ? options_.below->find(entry.path) : std::nullopt;
        const bool same = found && found->entry->type == entry.type && found->entry->overridden;
        const auto take = [&](std::uint32_t& id, std::uint32_t wanted, bool is_mapped(std::uint32_t)) {
            // Another owner than the stand-in is a newer one.
            if (id != kStandInId || can_own(wanted, is_mapped)) return;
            id = wanted;
            entry.overridden = true;
        };
        if (given != options_.given_away.end()) {
            const auto& [uid, gid] = given->second;
            if (uid != kUnchanged) take(entry.uid, uid, is_mapped_uid);
            if (gid != kUnchanged) take(entry.gid, gid, is_mapped_gid);
        }
        if (!same) return;
        take(entry.uid, found->entry->uid, is_mapped_uid);
        take(entry.gid, found->entry->gid, is_mapped_gid);
    }

    bool hides_something(const std::string& path) const {
        if (options_.below == nullptr) return true;
        const auto found = options_.below->find(path);
        return found && found->entry->type == EntryType::directory;
    }

    // Of the names of one file, the first in path order is the file.
    void join_names() {
        std::map<std::pair<dev_t, ino_t>, const Entry*> files;
        for (Item& item : items_) {
            if (item.inode == 0) continue;
            const auto [found, first] = files.try_emplace({item.device, item.inode}, &item.entry);
            if (first) continue;
            item.entry.type = EntryType::hardlink;
            item.entry.link_target = found->second->path;
        }
    }

    // Only a step without a user namespace can have made nodes, so there are hardly ever any.
    void replace_nodes() {
        TreeInodes tree(upper_);
        for (Item& item : items_) {
            if (!item.real_node) continue;
            Entry& entry = item.entry;
            tree.remove(entry.path);
            if (entry.type == EntryType::hardlink) {
                tree.make_hardlink(entry.link_target, entry.path);
            } else {
                tree.make_node(entry);
            }
            entry.overridden = true;
            const std::string parent(parent_path(entry.path));
            const auto directory = std::lower_bound(
                items_.begin(), items_.end(), parent,
                [](const Item& other, const std::string& path) { return compare_paths(other.entry.path, path) < 0; });
            tree.set_directory_time(directory->entry);
        }
    }

    std::optional<std::string> user_file(const NameIndex& names, std::string_view path) const {
        const Entry* entry = names.find(path);
        const bool file = entry != nullptr && (entry->type == EntryType::file || entry->type == EntryType::hardlink);
        if (!file || entry->size > kMaxUserFileBytes) return std::nullopt;
        return upper_.read_file(path, kMaxUserFileBytes);
    }

    ScanResult finish() {
        std::vector<Entry> entries;
        entries.reserve(items_.size());
        for (Item& item : items_) entries.push_back(std::move(item.entry));
        if (entries.size() == 1 && entries[0].implicit && !entries[0].opaque) entries.clear();
        NameIndex names(std::move(entries));
        auto passwd = user_file(names, "etc/passwd");
        auto group = user_file(names, "etc/group");
        names.set_user_files(std::move(passwd), std::move(group));
        std::sort(sockets_.begin(), sockets_.end());
        return {.names = std::move(names), .sockets = std::move(sockets_)};
    }

    const util::RootedDir& upper_;
    const ScanOptions& options_;
    std::string names_buffer_;
    std::vector<Item> items_;
    std::vector<std::size_t> todo_;
    std::vector<std::string> sockets_;
};

}  // namespace

void dress_upper(const util::RootedDir& upper, const ChainView& below) {
    Entry root{.path = "", .type = EntryType::directory, .mode = kImplicitMode};
    if (const auto found = below.find("")) root = *found->entry;
    TreeInodes(upper).describe_directory(root);
}

ScanResult scan_upper(const util::RootedDir& upper, const ScanOptions& options) {
    return Scanner(upper, options).scan();
}

}  // namespace imgbuild::layers
