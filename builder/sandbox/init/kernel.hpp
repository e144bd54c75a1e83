// System calls that glibc 2.36 has no wrapper for, or whose header clashes with <linux/mount.h>.
#pragma once

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace imgbuild::sandbox::init {

inline long fsopen(const char* type) {
    return syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
}
inline long fsconfig(long fs, unsigned command, const char* key, const char* value) {
    return syscall(SYS_fsconfig, fs, command, key, value, 0);
}
inline long fsmount(long fs, unsigned attributes) {
    return syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
}
inline long open_tree(int directory, const char* path, unsigned flags) {
    return syscall(SYS_open_tree, directory, path, flags | OPEN_TREE_CLOEXEC);
}
/// Attaches the detached mount `mount` on the open place `target`.
inline long move_mount(int mount, int target) {
    return syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}
inline long set_mount_attributes(int mount, std::uint64_t set) {
    mount_attr attributes{};
    attributes.attr_set = set;
    return syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes));
}
/// The mount's owners become what they are in the user namespace `ids`.
inline long shift_ids(int mount, int ids) {
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<std::uint64_t>(ids);
    return syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attributes, sizeof(attributes));
}
/// As set_mount_attributes(), and not for the mounts inside it.
inline long set_own_mount_attributes(int mount, std::uint64_t set) {
    mount_attr attributes{};
    attributes.attr_set = set;
    return syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attributes, sizeof(attributes));
}
inline long open_in_root(int root, const char* path, std::uint64_t flags) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return syscall(SYS_openat2, root, path, &how, sizeof(how));
}

}  // namespace imgbuild::sandbox::init
