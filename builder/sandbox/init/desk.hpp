// What answering a system call needs, whichever it is (notify.hpp): the question, the caller, descriptors of this
// process, and telling people. Nothing here allocates.
#pragma once

#include <linux/seccomp.h>

#include <climits>
#include <cstdint>
#include <cstdio>

#include "builder/sandbox/init/caller.hpp"

namespace imgbuild::sandbox::init {

enum class Call { none, mknod, mknodat, setxattr, lsetxattr, fsetxattr, chown, lchown, fchown, fchownat };

struct Answer {
    /// Zero: done.
    int error = 0;
    /// The kernel carries the call out as if nobody had asked, with the caller's rights and memory as they are then.
    bool goes_on = false;
};

inline constexpr Answer kGoesOn{.error = 0, .goes_on = true};

/// A descriptor that is closed at the end of its scope.
class Held {
public:
    explicit Held(int fd) : fd_(fd) {}
    ~Held();
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    int get() const { return fd_; }
    bool open() const { return fd_ >= 0; }

private:
    int fd_;
};

/// What of this process does not change: opened with the first question, since most steps have none.
struct Own {
    int root = -1;
    int proc = -1;
    std::uint64_t root_mount = 0;
};
const Own& own();

/// Is the open file in the step's root itself, and not in something that is mounted in it?
bool is_in_image(int fd);

/// Relative to the working directory. Magic links are not followed: "/proc/self" would be this process.
int open_plainly(const char* path, std::uint64_t flags);

/// "self/fd/7", to be used relative to own().proc: works for descriptors opened with O_PATH and below any root.
struct ProcLink {
    char text[24];
    explicit ProcLink(int fd);
};

/// The path that a held file has in the step.
struct PathText {
    char text[PATH_MAX]{};
    explicit PathText(int fd);
};

/// A line in the step's output. A step that is refused the same thing in a loop is not to flood it.
void tell_line(char* text, int size, std::size_t capacity);
void tell(const char* format, auto... values) {
    char text[2 * PATH_MAX];
    tell_line(text, std::snprintf(text, sizeof(text) - 1, format, values...), sizeof(text));
}

/// One question while it is answered.
class Desk {
public:
    Desk(int listener, const seccomp_notif& question) : listener_(listener), question_(question) {}

    /// Reads who the caller is. False if that cannot be found out.
    bool open();
    const Caller& caller() const { return caller_; }
    std::uint64_t argument(unsigned index) const { return question_.data.args[index]; }
    int number(unsigned index) const { return static_cast<int>(argument(index)); }

    /// What was read through the caller's number was the caller's, if he waits still.
    bool still_waits() const;
    /// The directory (or file) that a descriptor number of the caller's means, AT_FDCWD included; -1.
    int open_base(int number) const;
    int open_root() const { return open_of(own().proc, caller_, "root"); }

private:
    int listener_;
    const seccomp_notif& question_;
    Caller& caller_ = kept_caller();

    static Caller& kept_caller();
};

/// A file that a call means by path or descriptor.
struct Wanted {
    /// The caller's number of an open file, or -1 for a path.
    int held = -1;
    /// Where a relative path begins.
    int base = 0;
    const char* path = "";
    bool follow = true;
};

/// Finds the file with begin() of `in_place` done, which the caller of this must end() if `file` is set. Zero or an
/// errno. The descriptor is opened with O_PATH.
int open_in_place(const Desk& desk, InPlace& in_place, const Wanted& wanted, int& file);

Answer make_device(Desk& desk, Call call);
Answer set_attribute(Desk& desk, Call call);
Answer change_owner(Desk& desk, Call call);

}  // namespace imgbuild::sandbox::init
