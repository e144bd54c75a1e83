// Mounts are held as descriptors until they are attached, and every place inside the step's root is resolved below it,
// since the image may have a symbolic link at any of them. Nothing here makes a mount point in the image: that would
// change the layer. Descriptors are not closed one by one: all are close-on-exec, and PID 1 closes its own when the
// root is entered.
#include "builder/sandbox/init/mounts.hpp"

#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "builder/sandbox/init/kernel.hpp"

namespace imgbuild::sandbox::init {
namespace {

// The kernel copies at most 256 bytes of a string option.
constexpr std::uint32_t kMaxOption = 255;
constexpr std::uint32_t kKernelView = op::kReadOnly | op::kNoSetuid | op::kNoDevices | op::kNoExecute;

/// As fail(), with what the file system context has to say about it.
[[noreturn]] void fail_with_log(const State& state, int context, const char* verb, const char* path) {
    const int reason = errno;
    char log[512];
    const auto size = read(context, log, sizeof(log) - 1);
    log[size > 0 ? size : 0] = '\0';
    errno = reason;
    fail(state, verb, path, log);
}

int open_target(const State& state, const char* path) {
    const long fd = open_in_root(state.root, path, O_PATH);
    return check(state, fd, "open mount point", path);
}

/// Nothing (-1) if this kernel does not have the path.
int find_target(const State& state, const char* path) {
    const long fd = open_in_root(state.root, path, O_PATH);
    if (fd < 0 && errno == ENOENT) return -1;
    return check(state, fd, "open mount point", path);
}

void attach(const State& state, int mount, int target, const char* path) {
    check(state, move_mount(mount, target), "attach a mount at", path);
    close(mount);
    close(target);
}

int clone_tree(const State& state, int directory, const char* path, unsigned flags, std::uint32_t attributes,
               const char* name) {
    const int tree = check(state, open_tree(directory, path, flags | OPEN_TREE_CLONE), "bind", name);
    if (attributes != 0) check(state, set_mount_attributes(tree, attributes), "set mount flags on", name);
    return tree;
}

void configure(const State& state, int context, const char* key, const char* value) {
    const unsigned command = value == nullptr ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
    if (fsconfig(context, command, key, value) < 0) fail_with_log(state, context, "set mount option", key);
}

void configure_path(const State& state, int context, const char* key, wire::Text path) {
    char link[32];
    const char* value = path.data;
    if (path.size > kMaxOption) {
        const int fd = check(state, open(path.data, O_PATH | O_CLOEXEC | O_DIRECTORY), "open", path.data);
        std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        value = link;
    }
    if (fsconfig(context, FSCONFIG_SET_STRING, key, value) < 0) {
        fail_with_log(state, context, "mount overlay on", path.data);
    }
}

/// Finishes `context`; the result is attached nowhere.
int make_mount(const State& state, int context, std::uint32_t flags, const char* verb, const char* path) {
    if (fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr) < 0) fail_with_log(state, context, verb, path);
    const int mount = check(state, fsmount(context, flags), verb, path);
    close(context);
    return mount;
}

void configure_option(const State& state, int context, wire::Text option) {
    const char* equals = std::strchr(option.data, '=');
    if (equals == nullptr) return configure(state, context, option.data, nullptr);
    char key[64];
    const auto size = static_cast<std::size_t>(equals - option.data);
    if (size >= sizeof(key)) {
        errno = ENAMETOOLONG;
        fail(state, "set mount option", option.data);
    }
    std::memcpy(key, option.data, size);
    key[size] = '\0';
    configure(state, context, key, equals + 1);
}

/// Of MountOverlay or HoldTree; attached nowhere.
int make_overlay(const State& state, const auto& operation) {
    const int context = check(state, fsopen("overlay"), "open file system", "overlay");
    operation.lowers.each([&](wire::Text lower) { configure_path(state, context, "lowerdir+", lower); });
    configure_path(state, context, "upperdir", operation.upper);
    configure_path(state, context, "workdir", operation.work);
    configure(state, context, "userxattr", nullptr);
    configure(state, context, "volatile", nullptr);
    return make_mount(state, context, 0, "mount overlay on", operation.upper.data);
}

/// A name that is not used yet in the scratch.
struct ScratchName {
    explicit ScratchName(State& state) { std::snprintf(text, sizeof(text), "%u", state.scratches++); }
    char text[16];
};

struct FileLook {
    std::uint32_t mode;
    std::uint32_t uid;
    std::uint32_t gid;
    std::uint32_t flags;
};

/// A file in the scratch with these bytes, attached at `path`.
void mount_file(State& state, const char* path, wire::Text bytes, const FileLook& look) {
    const ScratchName name(state);
    const int file =
        check(state, openat(state.scratch, name.text, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), "make", path);
    std::uint32_t done = 0;
    while (done < bytes.size) {
        const auto written = write(file, bytes.data + done, bytes.size - done);
        done += static_cast<std::uint32_t>(check(state, written, "write", path));
    }
    check(state, fchown(file, look.uid, look.gid), "set the owner of", path);
    check(state, fchmod(file, look.mode), "set the mode of", path);
    close(file);
    const int tree = clone_tree(state, state.scratch, name.text, 0, look.flags, path);
    attach(state, tree, open_target(state, path), path);
}

}  // namespace

void carry_out(State& state, const op::MountOverlay<Viewed>& operation) {
    state.root = make_overlay(state, operation);
}

// The file system is not the step's own, so device nodes on it would work.
void carry_out(State& state, const op::HoldRoot<Viewed>& operation) {
    const char* source = operation.source.data;
    state.root = clone_tree(state, AT_FDCWD, source, AT_SYMLINK_NOFOLLOW, op::kNoDevices, source);
    if (operation.shifted != 0) {
        check(state, shift_ids(state.root, wire::kUserNamespaceFd), "shift the ids of", source);
    }
}

void carry_out(State& state, const op::MountScratch<Viewed>& operation) {
    const char* at = operation.at.data;
    const int context = check(state, fsopen("tmpfs"), "open file system", "tmpfs");
    configure(state, context, "mode", "0700");
    const int mount = make_mount(state, context, op::kNoSetuid | op::kNoDevices, "mount tmpfs on", at);
    const int target = check(state, open(at, O_PATH | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW), "open", at);
    check(state, move_mount(mount, target), "attach a mount at", at);
    close(target);
    state.scratch = mount;
    check(state, mkdirat(state.scratch, "root", 0700), "make directory", "root");
    check(state, mkdirat(state.scratch, "empty", 0555), "make directory", "empty");
}

void carry_out(State& state, const op::AttachRoot<Viewed>&) {
    const int target = check(state, openat(state.scratch, "root", O_PATH | O_CLOEXEC), "open", "root");
    check(state, move_mount(state.root, target), "attach a mount at", "root");
    close(target);
}

void carry_out(State& state, const op::MountFileSystem<Viewed>& operation) {
    const char* path = operation.target.data;
    const int context = check(state, fsopen(operation.type.data), "open file system", operation.type.data);
    // What `df` and `mount` call it.
    configure(state, context, "source", operation.type.data);
    operation.options.each([&](wire::Text option) { configure_option(state, context, option); });
    char verb[48];
    std::snprintf(verb, sizeof(verb), "mount %s on", operation.type.data);
    const int mount = make_mount(state, context, operation.flags, verb, path);
    attach(state, mount, open_target(state, path), path);
}

void carry_out(State& state, const op::MountBind<Viewed>& operation) {
    const unsigned depth = operation.recursive != 0 ? AT_RECURSIVE : 0;
    const int tree = clone_tree(state, AT_FDCWD, operation.source.data, AT_SYMLINK_NOFOLLOW | depth, operation.flags,
                                operation.source.data);
    attach(state, tree, open_target(state, operation.target.data), operation.target.data);
}

void carry_out(State& state, const op::CloneBind<Viewed>& operation) {
    if (state.bind_count == op::kMaxBinds) {
        errno = E2BIG;
        fail(state, "bind", operation.source.data);
    }
    const char* source = operation.source.data;
    const unsigned depth = operation.recursive != 0 ? AT_RECURSIVE : 0;
    const int tree = clone_tree(state, AT_FDCWD, source, AT_SYMLINK_NOFOLLOW | depth, operation.flags, source);
    if (operation.shifted != 0) {
        check(state, shift_ids(tree, wire::kUserNamespaceFd), "shift the ids of", source);
    }
    state.binds[state.bind_count++] = tree;
}

void carry_out(State& state, const op::AttachBind<Viewed>& operation) {
    if (operation.number >= state.bind_count) {
        errno = EBADF;
        fail(state, "bind", operation.target.data);
    }
    const char* target = operation.target.data;
    attach(state, state.binds[operation.number], open_target(state, target), target);
}

void carry_out(State& state, const op::MountText<Viewed>& operation) {
    mount_file(state, operation.target.data, operation.text,
               {.mode = operation.mode, .uid = 0, .gid = 0, .flags = operation.flags});
}

void carry_out(State& state, const op::MountSecret<Viewed>& operation) {
    mount_file(state, operation.target.data, secret_value(state, operation.secret),
               {.mode = operation.mode, .uid = operation.uid, .gid = operation.gid, .flags = kKernelView});
}

void carry_out(State& state, const op::HoldTree<Viewed>& operation) {
    if (state.tree_count == op::kMaxTrees) {
        errno = E2BIG;
        fail(state, "mount overlay on", operation.upper.data);
    }
    state.trees[state.tree_count++] = make_overlay(state, operation);
}

// A path inside a mount can only be bound once the mount is attached, so the overlay passes through the scratch, which
// nobody sees afterwards.
void carry_out(State& state, const op::AttachTree<Viewed>& operation) {
    const char* path = operation.target.data;
    if (operation.number >= state.tree_count) {
        errno = EBADF;
        fail(state, "bind", path);
    }
    const ScratchName name(state);
    const int overlay = state.trees[operation.number];
    check(state, mkdirat(state.scratch, name.text, 0700), "make directory", path);
    const int place = check(state, openat(state.scratch, name.text, O_PATH | O_CLOEXEC), "open", path);
    check(state, move_mount(overlay, place), "attach a mount at", path);
    close(place);
    const char* inside = operation.source.size == 0 ? "." : operation.source.data;
    const int source = check(state, open_in_root(overlay, inside, O_PATH | O_NOFOLLOW), "open", inside);
    const int tree = clone_tree(state, source, "", AT_EMPTY_PATH, operation.flags, path);
    attach(state, tree, open_target(state, path), path);
    close(source);
    close(overlay);
}

// 0: a kernel before 5.8 does not say.
std::uint64_t mount_id(int directory) {
    struct statx status {};
    if (statx(directory, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) != 0) return 0;
    return (status.stx_mask & STATX_MNT_ID) != 0 ? status.stx_mnt_id : 0;
}

bool is_there(const State& state, const char* path) {
    const int target = find_target(state, path);
    if (target >= 0) close(target);
    return target >= 0;
}

// Makes what is missing at `part`, a part of the mount point `path`. A link in an outer mount may lead back into the
// root, where a mount point would become part of the layer.
void make_part(State& state, const char* part, bool file, const char* path) {
    char directory[4096];
    char name[256];
    const char* slash = std::strrchr(part, '/');
    std::snprintf(name, sizeof(name), "%s", slash + 1);
    std::snprintf(directory, sizeof(directory), "%.*s", slash == part ? 1 : static_cast<int>(slash - part), part);
    const int parent = check(state, open_in_root(state.root, directory, O_RDONLY | O_DIRECTORY), "open", directory);
    if (const std::uint64_t id = mount_id(parent); id != 0 && id == mount_id(state.root)) {
        errno = EXDEV;
        fail(state, "make mount point", path);
    }
    const int made =
        file ? openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644) : mkdirat(parent, name, 0755);
    // Another step that shares the directory may have made it in between; a link that leads nowhere stays an error.
    if (const int reason = errno; made < 0 && (reason != EEXIST || !is_there(state, part))) {
        errno = reason;
        fail(state, "make mount point", path);
    }
    if (file && made >= 0) close(made);
    close(parent);
}

// Missing directories from the outside in, each below what is mounted there by now.
void carry_out(State& state, const op::MakeMountPoint<Viewed>& operation) {
    const char* path = operation.target.data;
    if (is_there(state, path)) return;
    char part[4096];
    if (operation.target.size >= sizeof(part)) {
        errno = ENAMETOOLONG;
        fail(state, "make mount point", path);
    }
    for (std::uint32_t end = 1; end <= operation.target.size; ++end) {
        if (path[end] != '/' && path[end] != '\0') continue;
        std::memcpy(part, path, end);
        part[end] = '\0';
        if (!is_there(state, part)) make_part(state, part, operation.file != 0 && path[end] == '\0', path);
    }
}

void carry_out(State& state, const op::SetMountFlags<Viewed>& operation) {
    const char* path = operation.target.data;
    const int mount = open_target(state, path);
    check(state, set_own_mount_attributes(mount, operation.flags), "set mount flags on", path);
    close(mount);
}

void carry_out(State& state, const op::MaskPath<Viewed>& operation) {
    const char* path = operation.target.data;
    const int target = find_target(state, path);
    if (target < 0) return;
    struct stat status {};
    check(state, fstatat(target, "", &status, AT_EMPTY_PATH), "stat", path);
    const int cover = S_ISDIR(status.st_mode)
                          ? clone_tree(state, state.scratch, "empty", 0, kKernelView, path)
                          : clone_tree(state, AT_FDCWD, "/dev/null", 0, op::kNoSetuid | op::kNoExecute, path);
    attach(state, cover, target, path);
}

void carry_out(State& state, const op::ProtectPath<Viewed>& operation) {
    const char* path = operation.target.data;
    const int target = find_target(state, path);
    if (target < 0) return;
    const int tree = clone_tree(state, target, "", AT_EMPTY_PATH | AT_RECURSIVE, kKernelView, path);
    attach(state, tree, target, path);
}

void carry_out(State& state, const op::MakeDirectory<Viewed>& operation) {
    const char* path = operation.target.data;
    const char* name = std::strrchr(path, '/') + 1;
    const int dev = check(state, open_in_root(state.root, "/dev", O_RDONLY | O_DIRECTORY), "open", "/dev");
    check(state, mkdirat(dev, name, 0755), "make directory", path);
    check(state, fchmodat(dev, name, 0755, 0), "set the mode of", path);
    close(dev);
}

void carry_out(State& state, const op::MakeFile<Viewed>& operation) {
    const long file = open_in_root(state.root, operation.target.data, O_WRONLY | O_CREAT | O_EXCL);
    close(check(state, file, "make", operation.target.data));
}

void carry_out(State& state, const op::MakeSymlink<Viewed>& operation) {
    const char* path = operation.target.data;
    const int dev = check(state, open_in_root(state.root, "/dev", O_RDONLY | O_DIRECTORY), "open", "/dev");
    check(state, symlinkat(operation.content.data, dev, std::strrchr(path, '/') + 1), "make symbolic link", path);
    close(dev);
}

// pivot_root(".", ".") stacks the old root on the new one, so that neither needs a directory inside the other.
void carry_out(State& state, const op::PivotRoot<Viewed>&) {
    check(state, fchdir(state.root), "enter", "the new root");
    check(state, syscall(SYS_pivot_root, ".", "."), "pivot_root to", "the new root");
    check(state, umount2(".", MNT_DETACH), "unmount", "the old root");
    check(state, chdir("/"), "enter", "/");
    close(state.root);
    close(state.scratch);
    state.root = -1;
    state.scratch = -1;
}

}  // namespace imgbuild::sandbox::init
