#include "layers/tree_inodes.hpp"

#include <imgbuild/error.hpp>

#include "layers/file_content.hpp"
#include "layers/tree_marks.hpp"
#include "util/assert.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <functional>
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

// Sets an attribute of one certain file.
using SetXattr = std::function<int(const char* name, const std::string& value)>;

// What would pass to everything that is made in a directory afterwards.
constexpr std::string_view kDefaultAcl = "system.posix_acl_default";

enum class When { at_once, when_full };

Stored set_all(const Entry& entry, const SetXattr& set, When when = When::at_once) {
    Stored out = Stored::fully;
    const std::string& path = entry.path;
    for (const auto& [name, value] : entry.xattrs) {
        const bool later = name == kDefaultAcl && entry.type == EntryType::directory;
        if (later != (when == When::when_full)) continue;
        const std::string stored = stored_name(name);
        if (is_held(stored)) out = Stored::partly;
        if (set(stored.c_str(), value) == 0) continue;
        if (!cannot_store(errno)) throw IoError("set an extended attribute of", path, errno);
        out = Stored::partly;
        // For the case that a step copies the file. What has no room for it either is in the index alone.
        const bool held = is_held(stored) || set(held_name(name).c_str(), value) == 0;
        if (!held && !cannot_store(errno)) throw IoError("set an extended attribute of", path, errno);
    }
    return out;
}

bool takes_marks(const Entry& entry) {
    return entry.type != EntryType::symlink && entry.type != EntryType::fifo;
}

constexpr std::uint32_t kNoChange = 0xffffffff;

// With one descriptor each, and several trees are written at once.
constexpr std::size_t kMaxParents = 128;

constexpr mode_t kPermissions = 0777;

// What this process takes away from the mode of a new file; everything, if nobody says.
mode_t current_umask() {
    constexpr std::size_t kLimit = 64U << 10;
    constexpr std::string_view kField = "\nUmask:\t";
    try {
        const std::string status = util::read_file("/proc/self/status", kLimit);
        const std::size_t at = status.find(kField);
        mode_t out = kPermissions;
        if (at != std::string::npos) {
            const char* digits = status.data() + at + kField.size();
            std::from_chars(digits, status.data() + status.size(), out, 8);
        }
        return out;
    } catch (const IoError&) {
        return kPermissions;
    }
}

bool change_owner(int directory, const char* name, std::uint32_t uid, std::uint32_t gid, const std::string& path) {
    if (::fchownat(directory, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0) return true;
    if (!cannot_store(errno)) throw IoError("set the owner of", path, errno);
    return false;
}

// Owner and group one by one: the one may be known here and the other not.
GivenOwner stand_in_owner(int directory, const char* name, const Entry& entry) {
    for (const std::uint32_t uid : {entry.uid, kStandInId}) {
        if (uid < kTreeIds && change_owner(directory, name, uid, kNoChange, entry.path)) break;
    }
    for (const std::uint32_t gid : {entry.gid, kStandInId}) {
        if (gid < kTreeIds && change_owner(directory, name, kNoChange, gid, entry.path)) break;
    }
    struct stat status {};
    util::check(::fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH), "look at", entry.path);
    return {.stored = Stored::partly, .uid = status.st_uid, .gid = status.st_gid};
}

GivenOwner set_owner(int directory, const char* name, const Entry& entry) {
    const bool known = entry.uid < kTreeIds && entry.gid < kTreeIds;
    if (known && change_owner(directory, name, entry.uid, entry.gid, entry.path)) {
        return {.stored = Stored::fully, .uid = entry.uid, .gid = entry.gid};
    }
    return stand_in_owner(directory, name, entry);
}

// A program must not run as somebody whom its file belongs to only for want of its owner.
mode_t mode_under(const GivenOwner& owner, const Entry& entry) {
    mode_t mode = entry.mode;
    if (owner.stored == Stored::fully || entry.type == EntryType::directory) return mode;
    if (owner.uid != entry.uid && owner.uid != kStandInId) mode &= ~static_cast<mode_t>(S_ISUID);
    if (owner.gid != entry.gid && owner.gid != kStandInId) mode &= ~static_cast<mode_t>(S_ISGID);
    return mode;
}

Stored set_marks(const GivenOwner& owner, const Entry& entry, const SetXattr& set) {
    if (!takes_marks(entry)) return owner.stored;
    const auto mark = [&](const char* name, const std::string& value) {
        if (set(name, value) != 0 && !cannot_store(errno)) throw IoError("mark", entry.path, errno);
    };
    if (owner.stored == Stored::partly) {
        const OwnerMark text{.uid = entry.uid, .gid = entry.gid, .inode_uid = owner.uid, .inode_gid = owner.gid};
        mark(kOwnerMark, text.text());
    }
    const bool device = entry.type == EntryType::char_device || entry.type == EntryType::block_device;
    if (device) mark(kDeviceMark, device_mark(entry));
    return device ? Stored::partly : owner.stored;
}

// Nobody else may read what does not have its owner yet.
mode_t created_mode(const FilePlace& at, const Entry& entry) {
    return at.born_right ? entry.mode & kPermissions : 0600;
}

util::Fd create(const FilePlace& at, const Entry& entry, mode_t mode) {
    const int fd =
        ::openat(at.directory->get(), at.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    return util::Fd(util::check(fd, "create", entry.path));
}

SetXattr xattr_setter(int fd) {
    return [fd](const char* name, const std::string& value) {
        return ::fsetxattr(fd, name, value.data(), value.size(), 0);
    };
}

}  // namespace

TreeInodes::TreeInodes(const util::RootedDir& tree) : tree_(tree.duplicate()), umask_(current_umask()) {}

bool TreeInodes::is_born_right(const Entry& entry) const {
    return owned_by_us(entry) && !groups_pass_;
}

util::Fd TreeInodes::open_directory(const std::string& path, int flags) const {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags) | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    const char* name = path.empty() ? "." : path.c_str();
    const long fd = ::syscall(SYS_openat2, tree_.fd(), name, &how, sizeof how);
    return util::Fd(util::check(static_cast<int>(fd), "open", path));
}

const std::shared_ptr<const util::Fd>& TreeInodes::parent_of(const std::string& path) {
    std::string parent(parent_path(path));
    auto known = parents_.find(parent);
    if (known == parents_.end()) {
        if (parents_.size() >= kMaxParents) parents_.clear();
        auto fd = std::make_shared<const util::Fd>(open_directory(parent, O_PATH));
        known = parents_.emplace(std::move(parent), std::move(fd)).first;
    }
    return known->second;
}

TreeInodes::Name TreeInodes::place(const std::string& path) {
    return {.directory = parent_of(path)->get(), .name = std::string(base_name(path))};
}

FilePlace TreeInodes::place_file(const Entry& entry) {
    return {.directory = parent_of(entry.path),
            .name = std::string(base_name(entry.path)),
            .born_right = is_born_right(entry)};
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
    const GivenOwner owner = set_owner(fd.get(), "", entry);
    util::check(::fchmod(fd.get(), entry.mode), "set the mode of", entry.path);
    groups_pass_ |= (entry.mode & S_ISGID) != 0;
    for (const auto& [name, value] : util::read_xattrs(fd.get(), entry.path)) {
        if (name == kOpaqueXattr || entry.xattrs.contains(true_name(name).value_or(""))) continue;
        // Attributes of a security module are the machine's and not ours to remove.
        if (::fremovexattr(fd.get(), name.c_str()) != 0 && !cannot_store(errno)) {
            throw IoError("remove an extended attribute of", entry.path, errno);
        }
    }
    const SetXattr set = xattr_setter(fd.get());
    const Stored marks = set_marks(owner, entry, set);
    return both(marks, set_all(entry, set));
}

Stored TreeInodes::set_default_acl(const Entry& directory) {
    if (!directory.xattrs.contains(kDefaultAcl)) return Stored::fully;
    const util::Fd fd = open_directory(directory.path, O_RDONLY);
    return set_all(directory, xattr_setter(fd.get()), When::when_full);
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
    if (entry.type != EntryType::fifo && entry.type != EntryType::whiteout) return make_file(entry, nullptr);
    const Name at = place(entry.path);
    const bool whiteout = entry.type == EntryType::whiteout;
    const mode_t mode = whiteout ? S_IFCHR : S_IFIFO | 0600;
    const bool made = ::mknodat(at.directory, at.name.c_str(), mode, 0) == 0;
    if (!made && whiteout && errno == EPERM) {
        make_whiteout_file(entry);
    } else {
        util::check(made ? 0 : -1, "make the node", entry.path);
    }
    return whiteout ? Stored::fully : describe_at(at, entry);
}

// An overlay lets nobody make the device that is a whiteout, since it would be one of its own.
void TreeInodes::make_whiteout_file(const Entry& entry) {
    const util::Fd file = create(place_file(entry), entry, 0600);
    util::check(::fsetxattr(file.get(), kWhiteoutXattr, "y", 1, 0), "mark as whiteout", entry.path);
    mark_whiteouts_in(std::string(parent_path(entry.path)));
    mark_whiteouts_in("");
}

// An opaque directory has whiteouts for a while only (TreeWriter::finish).
void TreeInodes::mark_whiteouts_in(const std::string& directory) {
    const util::Fd fd = open_directory(directory, O_RDONLY);
    if (::fsetxattr(fd.get(), kOpaqueXattr, "x", 1, XATTR_CREATE) != 0 && errno != EEXIST) {
        throw IoError("mark the whiteouts in", directory, errno);
    }
}

void TreeInodes::make_hardlink(const std::string& file, const std::string& path) {
    const util::Fd from = open_directory(std::string(parent_path(file)), O_PATH);
    const Name to = place(path);
    util::check(::linkat(from.get(), std::string(base_name(file)).c_str(), to.directory, to.name.c_str(), 0), "link",
                path);
}

Stored TreeInodes::make_file(const Entry& entry, util::Source* content) {
    const FilePlace at = place_file(entry);
    const util::Fd fd = create(at, entry, created_mode(at, entry));
    if (content != nullptr) write_content(fd.get(), *content, entry.size, entry.path);
    return describe_file(fd, entry, at.born_right);
}

Stored TreeInodes::make_copy(const FilePlace& at, const Entry& entry, const Extent& from) const {
    const util::Fd fd = create(at, entry, created_mode(at, entry));
    copy_content(from, fd.get(), entry.size, entry.path);
    return describe_file(fd, entry, at.born_right);
}

// A change of owner clears set-id bits and capabilities, so the owner comes first; attributes after the mode,
// since an ACL refines it; times at the very end.
Stored TreeInodes::describe_file(const util::Fd& fd, const Entry& entry, bool born_right) const {
    GivenOwner owner;
    if (!born_right) owner = set_owner(fd.get(), "", entry);
    const mode_t mode = mode_under(owner, entry);
    if (!born_right || (mode & ~(kPermissions & ~umask_)) != 0) {
        util::check(::fchmod(fd.get(), mode), "set the mode of", entry.path);
    }
    const SetXattr set = xattr_setter(fd.get());
    const Stored marks = set_marks(owner, entry, set);
    const Stored xattrs = set_all(entry, set);
    const auto times = times_of(entry);
    util::check(::futimens(fd.get(), times.data()), "set the time of", entry.path);
    return both(marks, xattrs);
}

Stored TreeInodes::describe_again(const Entry& entry) {
    const Name at = place(entry.path);
    // What it has may be anybody's, so "ours" is no reason to leave it.
    const GivenOwner owner = set_owner(at.directory, at.name.c_str(), entry);
    // What was noted before is about the owner that it had.
    if (::lremovexattr(proc_path(at.directory, at.name).c_str(), kOwnerMark) != 0 && errno != ENODATA &&
        !cannot_store(errno)) {
        throw IoError("remove an extended attribute of", entry.path, errno);
    }
    return describe_owned(at, entry, owner);
}

Stored TreeInodes::describe_at(const Name& at, const Entry& entry) {
    GivenOwner owner;
    if (!is_born_right(entry)) owner = set_owner(at.directory, at.name.c_str(), entry);
    groups_pass_ |= entry.type == EntryType::directory && (entry.mode & S_ISGID) != 0;
    return describe_owned(at, entry, owner);
}

Stored TreeInodes::describe_owned(const Name& at, const Entry& entry, const GivenOwner& owner) {
    if (entry.type != EntryType::symlink) {
        util::check(::fchmodat(at.directory, at.name.c_str(), mode_under(owner, entry), 0), "set the mode of",
                    entry.path);
    }
    Stored out = owner.stored;
    if (!entry.xattrs.empty() || out == Stored::partly) {
        const std::string path = proc_path(at.directory, at.name);
        const SetXattr set = [&](const char* name, const std::string& value) {
            return ::lsetxattr(path.c_str(), name, value.data(), value.size(), 0);
        };
        out = both(set_marks(owner, entry, set), set_all(entry, set));
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
    // What is removed may have been a directory with others in it.
    parents_.clear();
}

void TreeInodes::set_directory_time(const Entry& directory) {
    const auto times = times_of(directory);
    const char* name = directory.path.empty() ? "." : directory.path.c_str();
    util::check(::utimensat(tree_.fd(), name, times.data(), AT_SYMLINK_NOFOLLOW), "set the time of", directory.path);
}

}  // namespace imgbuild::layers
