#include "layers/tree_inodes.hpp"

#include <imgbuild/error.hpp>

#include "layers/file_content.hpp"
#include "layers/overlay_names.hpp"
#include "util/assert.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <utility>

namespace imgbuild::layers {
namespace {

Stored both(Stored a, Stored b) {
    return a == Stored::fully ? b : Stored::partly;
}

std::array<timespec, 2> times_of(const Entry& entry) {
    const timespec time{.tv_sec = entry.mtime, .tv_nsec = 0};
    return {time, time};
}

// What a user or a file system may be unable to store, as opposed to what is wrong.
bool cannot_store(int error_number) {
    return error_number == EPERM || error_number == EACCES || error_number == EOPNOTSUPP || error_number == EINVAL ||
           error_number == E2BIG || error_number == ERANGE || error_number == ENOSPC;
}

// Every inode that we make is ours at first; a change to what it is already costs a system call for nothing.
bool owned_by_us(const Entry& entry) {
    static const uid_t uid = ::geteuid();
    static const gid_t gid = ::getegid();
    return entry.uid == uid && entry.gid == gid;
}

// /proc/self/fd/N/name: the calls for attributes know no directory descriptors.
std::string proc_path(int directory, const std::string& name) {
    return fmt::format("/proc/self/fd/{}/{}", directory, name);
}

template <class Set>
Stored set_all(const util::Xattrs& xattrs, const std::string& path, Set set) {
    Stored out = Stored::fully;
    for (const auto& [name, value] : xattrs) {
        if (set(stored_name(name).c_str(), value) == 0) continue;
        if (!cannot_store(errno)) throw IoError("set an extended attribute of", path, errno);
        out = Stored::partly;
    }
    return out;
}

Stored accepted(int result, const char* operation, const std::string& path) {
    if (result == 0) return Stored::fully;
    if (!cannot_store(errno)) throw IoError(operation, path, errno);
    return Stored::partly;
}

mode_t node_type(EntryType type) {
    switch (type) {
        case EntryType::fifo:
            return S_IFIFO;
        case EntryType::char_device:
        case EntryType::whiteout:
            return S_IFCHR;
        case EntryType::block_device:
            return S_IFBLK;
        default:
            std::unreachable();
    }
}

}  // namespace

util::Fd TreeInodes::open_directory(const std::string& path, int flags) const {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags) | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    const char* name = path.empty() ? "." : path.c_str();
    const long fd = ::syscall(SYS_openat2, tree_.fd(), name, &how, sizeof how);
    return util::Fd(util::check(static_cast<int>(fd), "open", path));
}

TreeInodes::Name TreeInodes::place(const std::string& path) {
    const std::string_view parent = parent_path(path);
    if (!parent_fd_ || parent_ != parent) {
        parent_ = parent;
        parent_fd_ = open_directory(parent_, O_PATH);
    }
    return {.directory = parent_fd_.get(), .name = std::string(base_name(path))};
}

Stored TreeInodes::make_directory(const Entry& entry) {
    const Name at = place(entry.path);
    util::check(::mkdirat(at.directory, at.name.c_str(), 0700), "make the directory", entry.path);
    Stored out = describe_at(at, entry);
    if (entry.opaque) set_opaque(entry);
    return out;
}

Stored TreeInodes::describe_directory(const Entry& entry) {
    const util::Fd fd = open_directory(entry.path, O_RDONLY);
    Stored out = accepted(::fchown(fd.get(), entry.uid, entry.gid), "set the owner of", entry.path);
    util::check(::fchmod(fd.get(), entry.mode), "set the mode of", entry.path);
    for (const auto& [name, value] : util::read_xattrs(fd.get(), entry.path)) {
        if (name == kOpaqueXattr || entry.xattrs.contains(true_name(name).value_or(""))) continue;
        // Attributes of a security module are the machine's and not ours to remove.
        if (::fremovexattr(fd.get(), name.c_str()) != 0 && !cannot_store(errno)) {
            throw IoError("remove an extended attribute of", entry.path, errno);
        }
    }
    const Stored xattrs = set_all(entry.xattrs, entry.path, [&](const char* name, const std::string& value) {
        return ::fsetxattr(fd.get(), name, value.data(), value.size(), 0);
    });
    return both(out, xattrs);
}

void TreeInodes::set_opaque(const Entry& directory) {
    const util::Fd fd = open_directory(directory.path, O_RDONLY);
    util::check(::fsetxattr(fd.get(), kOpaqueXattr, "y", 1, 0), "mark as opaque", directory.path);
}

Stored TreeInodes::make_symlink(const Entry& entry) {
    const Name at = place(entry.path);
    util::check(::symlinkat(entry.link_target.c_str(), at.directory, at.name.c_str()), "make the link", entry.path);
    return describe_at(at, entry);
}

Stored TreeInodes::make_node(const Entry& entry) {
    const Name at = place(entry.path);
    const bool whiteout = entry.type == EntryType::whiteout;
    const dev_t device = ::makedev(entry.dev_major, entry.dev_minor);
    // A character device 0:0 that is no whiteout would be taken for one.
    const bool looks_deleted = !whiteout && entry.type == EntryType::char_device && device == 0;
    if (looks_deleted) return make_placeholder(entry);
    const mode_t mode = node_type(entry.type) | (whiteout ? 0 : 0600);
    if (::mknodat(at.directory, at.name.c_str(), mode, device) != 0) {
        if (whiteout || errno != EPERM) throw IoError("make the node", entry.path, errno);
        return make_placeholder(entry);
    }
    return whiteout ? Stored::fully : describe_at(at, entry);
}

// An empty file stands for a device that we may not make, so that the name is there for later steps.
Stored TreeInodes::make_placeholder(const Entry& entry) {
    Entry file = entry;
    file.xattrs.clear();
    describe_file(create(file), file);
    return Stored::partly;
}

void TreeInodes::make_hardlink(const std::string& file, const std::string& path) {
    const util::Fd from = open_directory(std::string(parent_path(file)), O_PATH);
    const Name to = place(path);
    util::check(::linkat(from.get(), std::string(base_name(file)).c_str(), to.directory, to.name.c_str(), 0), "link",
                path);
}

util::Fd TreeInodes::create(const Entry& entry) {
    const Name at = place(entry.path);
    const int fd = ::openat(at.directory, at.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return util::Fd(util::check(fd, "create", entry.path));
}

Stored TreeInodes::make_file(const Entry& entry, util::Source* content) {
    const util::Fd fd = create(entry);
    if (content != nullptr) write_content(fd.get(), *content, entry.size, entry.path);
    return describe_file(fd, entry);
}

Stored TreeInodes::make_copy(const Entry& entry, int from) {
    const util::Fd fd = create(entry);
    copy_content(from, fd.get(), entry.size, entry.path);
    return describe_file(fd, entry);
}

// A change of owner clears set-id bits and capabilities, so the owner comes first; attributes after the mode,
// since an ACL refines it; times at the very end.
Stored TreeInodes::describe_file(const util::Fd& fd, const Entry& entry) {
    Stored out = Stored::fully;
    if (!owned_by_us(entry)) out = accepted(::fchown(fd.get(), entry.uid, entry.gid), "set the owner of", entry.path);
    util::check(::fchmod(fd.get(), entry.mode), "set the mode of", entry.path);
    const Stored xattrs = set_all(entry.xattrs, entry.path, [&](const char* name, const std::string& value) {
        return ::fsetxattr(fd.get(), name, value.data(), value.size(), 0);
    });
    const auto times = times_of(entry);
    util::check(::futimens(fd.get(), times.data()), "set the time of", entry.path);
    return both(out, xattrs);
}

Stored TreeInodes::describe_again(const Entry& entry) {
    const Name at = place(entry.path);
    // What it has may be anybody's, so "ours" is no reason to leave it.
    const Stored owner = accepted(::fchownat(at.directory, at.name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW),
                                  "set the owner of", entry.path);
    return both(owner, describe_at(at, entry));
}

Stored TreeInodes::describe_at(const Name& at, const Entry& entry) {
    Stored out = Stored::fully;
    if (!owned_by_us(entry)) {
        out = accepted(::fchownat(at.directory, at.name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW),
                       "set the owner of", entry.path);
    }
    if (entry.type != EntryType::symlink) {
        util::check(::fchmodat(at.directory, at.name.c_str(), entry.mode, 0), "set the mode of", entry.path);
    }
    if (!entry.xattrs.empty()) {
        const std::string path = proc_path(at.directory, at.name);
        out = both(out, set_all(entry.xattrs, entry.path, [&](const char* name, const std::string& value) {
                       return ::lsetxattr(path.c_str(), name, value.data(), value.size(), 0);
                   }));
    }
    if (entry.type != EntryType::directory) {
        const auto times = times_of(entry);
        util::check(::utimensat(at.directory, at.name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW), "set the time of",
                    entry.path);
    }
    return out;
}

void TreeInodes::remove(const std::string& path) {
    const Name at = place(path);
    util::remove_tree(at.directory, at.name);
    forget_parent();
}

void TreeInodes::set_directory_time(const Entry& directory) {
    const auto times = times_of(directory);
    const char* name = directory.path.empty() ? "." : directory.path.c_str();
    util::check(::utimensat(tree_.fd(), name, times.data(), AT_SYMLINK_NOFOLLOW), "set the time of", directory.path);
}

}  // namespace imgbuild::layers
