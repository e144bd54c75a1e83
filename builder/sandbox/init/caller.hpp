// A process of the step that waits in a system call while PID 1 answers it (notify.hpp): what it is, what its memory
// says, and doing something in its place.
//
// It may be hostile, and its other threads run on: memory can change between two looks, so everything is read once and
// only the copy is used. Its number can be given to somebody else when it dies, so whoever reads must ask afterwards
// whether it still waits.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace imgbuild::sandbox::init {

struct Caller {
    static constexpr std::size_t kMaxGroups = 1024;

    /// The thread, as PID 1 numbers it.
    pid_t thread = 0;
    /// For access to files.
    uid_t uid = 0;
    gid_t gid = 0;
    gid_t groups[kMaxGroups]{};
    std::size_t group_count = 0;
    mode_t umask = 0;
    /// Effective capabilities, bit n for capability n.
    std::uint64_t capabilities = 0;

    bool has(unsigned capability) const { return (capabilities >> capability & 1U) != 0; }
};

/// Reads what /proc (held as `proc`) says about `thread`. Zero or an errno; E2BIG for more groups than we take.
int read_caller(int proc, pid_t thread, Caller& into);

/// `size` bytes from its memory. Zero or EFAULT, or EPERM where this machine forbids to look.
int read_memory(const Caller& caller, std::uint64_t address, void* into, std::size_t size);
/// A text with its NUL. `too_long` is the errno for one that does not fit.
int read_text(const Caller& caller, std::uint64_t address, char* into, std::size_t size, int too_long);

/// Opens `/proc/<thread>/<name>`, following it: "root", "cwd", "fd/7". A descriptor, or -1 and errno.
int open_of(int proc, const Caller& caller, const char* name);

/// From begin() to end() this process has the caller's ids, groups, capabilities, umask, root and working directory, so
/// that the kernel itself says what the caller may do and where a path leads. PID 1 is single-threaded; nothing else
/// happens meanwhile.
class InPlace {
public:
    /// `own_root`: "/" of this process, open.
    explicit InPlace(int own_root) : own_root_(own_root) {}
    /// Zero or an errno, after which nothing is changed.
    int begin(const Caller& caller, int root, int directory);
    /// Ends the step where it fails: this process would not be what it was. Keeps errno.
    void end();

private:
    int own_root_;
    mode_t umask_ = 0;
    bool groups_changed_ = false;
};

}  // namespace imgbuild::sandbox::init
