#include "util/rooted_dir.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>

namespace imgbuild::util {
namespace {

// A directory below the root is resolved by the kernel alone. EAGAIN means that something moved while the kernel
// looked and it cannot tell whether ".." stayed inside: try again, a bounded number of times.
int open_in_root(int root, const std::string& path, std::uint64_t flags, mode_t mode) {
    constexpr int kTries = 64;
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const char* name = path.empty() ? "." : path.c_str();
    for (int i = 0; i < kTries; ++i) {
        const long fd = ::syscall(SYS_openat2, root, name, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return static_cast<int>(fd);
    }
    return -1;
}

bool is_absence(int error_number) {
    return error_number == ENOENT || error_number == ENOTDIR;
}

struct Split {
    std::string parent;
    std::string name;
};

Split split_last(std::string_view path) {
    const auto parts = path_components(path);
    if (parts.empty() || parts.back() == "..") {
        throw UsageError({.code = "usage.bad-path",
                          .message = fmt::format("{} names no file inside a directory", quote(path)),
                          .hint = {},
                          .where = {}});
    }
    Split out{.parent = {}, .name = std::string(parts.back())};
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
        if (i > 0) out.parent += '/';
        out.parent += parts[i];
    }
    return out;
}

}  // namespace

RootedDir RootedDir::open(const std::string& path) {
    return RootedDir(open_path(path, O_PATH | O_DIRECTORY));
}

std::optional<Fd> RootedDir::find(std::string_view path, int flags, Follow follow, mode_t mode) const {
    const std::uint64_t all = static_cast<std::uint64_t>(flags) | (follow == Follow::no ? O_NOFOLLOW : 0);
    const int fd = open_in_root(root_.get(), std::string(path), all, mode);
    if (fd >= 0) return Fd(fd);
    if (is_absence(errno)) return std::nullopt;
    throw IoError("open", std::string(path), errno);
}

Fd RootedDir::open_file(std::string_view path, int flags, Follow follow, mode_t mode) const {
    if (auto fd = find(path, flags, follow, mode)) return std::move(*fd);
    throw IoError("open", std::string(path), errno);
}

std::optional<struct stat> RootedDir::stat(std::string_view path, Follow follow) const {
    const auto fd = find(path, O_PATH, follow);
    if (!fd) return std::nullopt;
    struct stat out {};
    check(::fstat(fd->get(), &out), "look at", std::string(path));
    return out;
}

std::string RootedDir::read_link(std::string_view path) const {
    const Fd fd = open_file(path, O_PATH, Follow::no);
    char buffer[PATH_MAX];
    const ssize_t n = ::readlinkat(fd.get(), "", buffer, sizeof buffer);
    check(n < 0 ? -1 : 0, "read the link", std::string(path));
    return {buffer, static_cast<std::size_t>(n)};
}

Place RootedDir::open_parent(std::string_view path) const {
    Split split = split_last(path);
    return {.directory = open_file(split.parent, O_PATH | O_DIRECTORY), .name = std::move(split.name)};
}

Place RootedDir::make_parent(std::string_view path, mode_t mode) const {
    Split split = split_last(path);
    if (auto parent = find(split.parent, O_PATH | O_DIRECTORY)) {
        return {.directory = std::move(*parent), .name = std::move(split.name)};
    }
    const Place above = make_parent(split.parent, mode);
    if (::mkdirat(above.directory.get(), above.name.c_str(), mode) == 0) {
        // mkdir() obeys the umask.
        check(::fchmodat(above.directory.get(), above.name.c_str(), mode, 0), "set the mode of", split.parent);
    } else if (errno != EEXIST) {
        throw IoError("make the directory", split.parent, errno);
    }
    return {.directory = open_file(split.parent, O_PATH | O_DIRECTORY), .name = std::move(split.name)};
}

std::optional<std::string> RootedDir::read_file(std::string_view path, std::size_t limit) const {
    // O_NONBLOCK: a fifo in somebody's tree must not make us wait.
    const auto fd = find(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!fd) return std::nullopt;
    struct stat status {};
    check(::fstat(fd->get(), &status), "look at", std::string(path));
    if (!S_ISREG(status.st_mode)) {
        throw IoError("read", std::string(path), S_ISDIR(status.st_mode) ? EISDIR : EINVAL);
    }
    return read_all(fd->get(), limit, path);
}

std::vector<DirEntry> list_directory(int directory, std::string_view what) {
    // A descriptor of its own: the position in a directory belongs to the open file, and O_PATH cannot be read.
    Fd own(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!own && errno == ENOENT) return {};  // removed since it was opened
    check(own.get(), "open", std::string(what));
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(own.get()), ::closedir);
    if (!stream) throw IoError("list", std::string(what), errno);
    static_cast<void>(own.release());

    std::vector<DirEntry> out;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(stream.get());
        if (entry == nullptr) break;
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") out.push_back({.name = std::string(name), .type = entry->d_type});
    }
    if (errno != 0) throw IoError("list", std::string(what), errno);
    std::sort(out.begin(), out.end(), [](const DirEntry& a, const DirEntry& b) { return a.name < b.name; });
    return out;
}

std::vector<std::string_view> path_components(std::string_view path) {
    std::vector<std::string_view> out;
    for (const std::string_view part : split(path, '/')) {
        if (!part.empty() && part != ".") out.push_back(part);
    }
    return out;
}

std::string clean_path(std::string_view path) {
    std::vector<std::string_view> kept;
    for (const std::string_view part : path_components(path)) {
        if (part != "..") {
            kept.push_back(part);
        } else if (!kept.empty()) {
            kept.pop_back();
        }
    }
    std::string out;
    for (const std::string_view part : kept) {
        if (!out.empty()) out += '/';
        out += part;
    }
    return out;
}

namespace {

// The kernel's limit for the names of one file, and for the value of one attribute.
constexpr std::size_t kMaxXattrBytes = 64U << 10;

// Of one file: both as the system calls of those names, but with the file left out.
struct XattrCalls {
    std::function<ssize_t(char* names, std::size_t size)> list;
    std::function<ssize_t(const char* name, char* value, std::size_t size)> get;
};

Xattrs read_xattrs(const XattrCalls& calls, std::string_view what) {
    constexpr std::size_t kUsual = 512;
    std::string names(kUsual, '\0');
    ssize_t size = calls.list(names.data(), names.size());
    if (size < 0 && errno == ERANGE) {
        names.resize(kMaxXattrBytes);
        size = calls.list(names.data(), names.size());
    }
    if (size < 0 && errno == ENOTSUP) return {};
    if (size < 0) throw IoError("list the attributes of", std::string(what), errno);
    names.resize(static_cast<std::size_t>(size));
    Xattrs out;
    std::string value;
    for (const std::string_view part : split(names, '\0')) {
        if (part.empty()) continue;
        const std::string name(part);
        value.resize(kMaxXattrBytes);
        const ssize_t n = calls.get(name.c_str(), value.data(), value.size());
        if (n < 0 && errno == ENODATA) continue;
        if (n < 0) throw IoError(fmt::format("read the attribute {} of", name), std::string(what), errno);
        out.emplace(name, value.substr(0, static_cast<std::size_t>(n)));
    }
    return out;
}

// Linux 6.13, the same on all architectures; younger than our C library.
constexpr long kGetxattrat = 464;
constexpr long kListxattrat = 465;

struct XattrValue {
    std::uint64_t value;
    std::uint32_t size;
    std::uint32_t flags;
};

// An older kernel does not have the calls, and a filter around us may not know them.
bool has_xattr_at() {
    static const bool out = [] {
        char names[1];
        const long size = ::syscall(kListxattrat, AT_FDCWD, "/", AT_SYMLINK_NOFOLLOW, names, std::size_t{0});
        return size >= 0 || (errno != ENOSYS && errno != EPERM);
    }();
    return out;
}

}  // namespace

Xattrs read_xattrs(int fd, std::string_view what) {
    // Descriptors opened with O_PATH refuse fgetxattr(); the link in /proc leads to the same file.
    const std::string path = fmt::format("/proc/self/fd/{}", fd);
    return read_xattrs({.list = [&](char* names, std::size_t size) { return ::listxattr(path.c_str(), names, size); },
                        .get = [&](const char* name, char* value,
                                   std::size_t size) { return ::getxattr(path.c_str(), name, value, size); }},
                       what);
}

Xattrs read_xattrs_at(int directory, const std::string& name, std::string_view what) {
    if (!has_xattr_at()) {
        const int fd = ::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
        return read_xattrs(Fd(check(fd, "open", std::string(what))).get(), what);
    }
    return read_xattrs({.list =
                            [&](char* names, std::size_t size) {
                                return ::syscall(kListxattrat, directory, name.c_str(), AT_SYMLINK_NOFOLLOW, names,
                                                 size);
                            },
                        .get =
                            [&](const char* attribute, char* value, std::size_t size) {
                                const XattrValue into{.value = reinterpret_cast<std::uintptr_t>(value),
                                                      .size = static_cast<std::uint32_t>(size),
                                                      .flags = 0};
                                return ::syscall(kGetxattrat, directory, name.c_str(), AT_SYMLINK_NOFOLLOW, attribute,
                                                 &into, sizeof into);
                            }},
                       what);
}

namespace {

// A step may leave directories nested deeper than our stack or our descriptors reach. Below kDeepest levels a
// directory is moved up beside the first one and taken from there. Somebody else may be removing the same tree: what is
// gone is gone.
class Removal {
public:
    explicit Removal(int top) : top_(top) {}

    void run(const std::string& name) {
        pending_.push_back(name);
        while (!pending_.empty()) {
            const std::string next = std::move(pending_.back());
            pending_.pop_back();
            remove(top_, next, 0);
        }
    }

private:
    static constexpr int kDeepest = 100;

    void remove(int directory, const std::string& name, int depth) {
        if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return;
        if (errno != EISDIR && errno != EPERM) throw IoError("remove", name, errno);
        if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return;
        if (errno == EACCES || errno == EPERM) {
            // A step may have left a directory without write or search permission.
            if (::fchmodat(directory, name.c_str(), 0700, 0) != 0 && errno != ENOENT)
                throw IoError("open up for removal", name, errno);
        } else if (errno != ENOTEMPTY && errno != EEXIST) {
            throw IoError("remove", name, errno);
        }
        if (depth == kDeepest) {
            move_up(directory, name);
            return;
        }
        empty(directory, name, depth);
        if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
            throw IoError("remove", name, errno);
    }

    void empty(int directory, const std::string& name, int depth) {
        const Fd inside(::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!inside && errno == ENOENT) return;
        check(inside.get(), "open", name);
        for (const DirEntry& entry : list_directory(inside.get(), name)) {
            if (entry.type != DT_DIR && entry.type != DT_UNKNOWN) {
                if (::unlinkat(inside.get(), entry.name.c_str(), 0) == 0 || errno == ENOENT) continue;
            }
            remove(inside.get(), entry.name, depth + 1);
        }
    }

    void move_up(int directory, const std::string& name) {
        for (;;) {
            const std::string target = fmt::format(".removal-{}-{}", ::getpid(), serial_++);
            if (::renameat2(directory, name.c_str(), top_, target.c_str(), RENAME_NOREPLACE) == 0) {
                pending_.push_back(target);
                return;
            }
            if (errno == ENOENT) return;
            if (errno != EEXIST) throw IoError("move up for removal", name, errno);
        }
    }

    int top_;
    int serial_ = 0;
    std::vector<std::string> pending_;
};

}  // namespace

void remove_tree(int directory, const std::string& name) {
    Removal(directory).run(name);
}

}  // namespace imgbuild::util
