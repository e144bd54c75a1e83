#include "builder/sandbox/init/caller.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace imgbuild::sandbox::init {
namespace {

// Enough for kMaxGroups numbers of ten digits and all other lines.
constexpr std::size_t kStatusSize = 16384;

/// The text after "\nname:", or null.
const char* find_line(const char* status, const char* name) {
    char wanted[32];
    std::snprintf(wanted, sizeof(wanted), "\n%s:", name);
    const char* found = std::strstr(status, wanted);
    return found == nullptr ? nullptr : found + std::strlen(wanted);
}

/// The number `index` (from 0) of a line.
bool take_number(const char* line, unsigned index, int base, std::uint64_t& into) {
    if (line == nullptr) return false;
    for (unsigned i = 0;; ++i) {
        char* end = nullptr;
        into = std::strtoull(line, &end, base);
        if (end == line) return false;
        if (i == index) return true;
        line = end;
    }
}

int take_groups(const char* line, Caller& into) {
    if (line == nullptr) return EPROTO;
    while (true) {
        while (*line == ' ' || *line == '\t') ++line;
        if (*line < '0' || *line > '9') return 0;
        if (into.group_count == Caller::kMaxGroups) return E2BIG;
        char* end = nullptr;
        into.groups[into.group_count++] = static_cast<gid_t>(std::strtoul(line, &end, 10));
        line = end;
    }
}

/// Gives this process `effective` of its permitted capabilities.
int set_effective(const std::uint64_t* effective) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    if (syscall(SYS_capget, &header, data) != 0) return errno;
    for (unsigned word = 0; word < 2; ++word) {
        const std::uint32_t wanted = effective == nullptr ? ~0U : static_cast<std::uint32_t>(*effective >> (32 * word));
        data[word].effective = data[word].permitted & wanted;
    }
    return syscall(SYS_capset, &header, data) == 0 ? 0 : errno;
}

/// They have no errno: the answer is the id before, also where nothing changed.
bool set_file_ids(uid_t uid, gid_t gid) {
    setfsgid(gid);
    setfsuid(uid);
    return static_cast<gid_t>(setfsgid(static_cast<gid_t>(-1))) == gid &&
           static_cast<uid_t>(setfsuid(static_cast<uid_t>(-1))) == uid;
}

}  // namespace

int read_caller(int proc, pid_t thread, Caller& into) {
    static char status[kStatusSize];
    char path[32];
    std::snprintf(path, sizeof(path), "%d/status", thread);
    const int file = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno;
    std::size_t size = 0;
    ssize_t got = 0;
    while ((got = read(file, status + size, sizeof(status) - 1 - size)) > 0) size += static_cast<std::size_t>(got);
    close(file);
    if (got < 0) return errno;
    if (size == sizeof(status) - 1) return E2BIG;
    status[size] = '\0';

    into.thread = thread;
    into.group_count = 0;
    std::uint64_t uid = 0;
    std::uint64_t gid = 0;
    std::uint64_t umask = 0;
    // The fourth of each is the one for files.
    const bool whole = take_number(find_line(status, "Uid"), 3, 10, uid) &&
                       take_number(find_line(status, "Gid"), 3, 10, gid) &&
                       take_number(find_line(status, "Umask"), 0, 8, umask) &&
                       take_number(find_line(status, "CapEff"), 0, 16, into.capabilities);
    if (!whole) return EPROTO;
    into.uid = static_cast<uid_t>(uid);
    into.gid = static_cast<gid_t>(gid);
    into.umask = static_cast<mode_t>(umask);
    return take_groups(find_line(status, "Groups"), into);
}

int read_memory(const Caller& caller, std::uint64_t address, void* into, std::size_t size) {
    if (size == 0) return 0;
    const iovec to{into, size};
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of the other process
    const iovec from{reinterpret_cast<void*>(static_cast<std::uintptr_t>(address)), size};
    const ssize_t got = process_vm_readv(caller.thread, &to, 1, &from, 1, 0);
    if (got < 0) return errno == ESRCH ? EFAULT : errno;
    return static_cast<std::size_t>(got) == size ? 0 : EFAULT;
}

int read_text(const Caller& caller, std::uint64_t address, char* into, std::size_t size, int too_long) {
    // Page by page: the text may end right before memory that is not there.
    constexpr std::uint64_t kPage = 4096;
    std::size_t done = 0;
    while (done < size) {
        const std::uint64_t here = address + done;
        const auto to_end = static_cast<std::size_t>(kPage - here % kPage);
        const std::size_t part = size - done < to_end ? size - done : to_end;
        if (const int error = read_memory(caller, here, into + done, part)) return error;
        if (std::memchr(into + done, '\0', part) != nullptr) return 0;
        done += part;
    }
    return too_long;
}

int open_of(int proc, const Caller& caller, const char* name) {
    char path[64];
    std::snprintf(path, sizeof(path), "%d/%s", caller.thread, name);
    return openat(proc, path, O_PATH | O_CLOEXEC);
}

int InPlace::begin(const Caller& caller, int root, int directory) {
    const bool there = fchdir(root) == 0 && chroot(".") == 0 && fchdir(directory) == 0;
    int error = there ? 0 : errno;
    umask_ = umask(caller.umask);
    groups_changed_ = error == 0 && setgroups(caller.group_count, caller.groups) == 0;
    if (error == 0 && !groups_changed_) error = errno;
    if (error == 0 && !set_file_ids(caller.uid, caller.gid)) error = EPERM;
    // Last: a change of ids takes and gives some by itself.
    if (error == 0) error = set_effective(&caller.capabilities);
    if (error != 0) end();
    return error;
}

void InPlace::end() {
    const int error = errno;
    const bool back = set_file_ids(0, 0) && set_effective(nullptr) == 0 &&
                      (!groups_changed_ || setgroups(0, nullptr) == 0) && fchdir(own_root_) == 0 && chroot(".") == 0 &&
                      // The kernel makes a process that changes its ids dumpable or not as it likes.
                      prctl(PR_SET_DUMPABLE, 0) == 0;
    if (!back) _exit(125);
    umask(umask_);
    errno = error;
}

}  // namespace imgbuild::sandbox::init
