#include "builder/sandbox/init/desk.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace imgbuild::sandbox::init {
namespace {

std::uint64_t mount_of(int fd) {
    struct statx status {};
    return statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) == 0 ? status.stx_mnt_id : 0;
}

/// The /proc of this very pid namespace; another one would speak of other processes.
int open_proc() {
    const int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct statfs status {};
    char self[16]{};
    const bool ours = proc >= 0 && fstatfs(proc, &status) == 0 && status.f_type == PROC_SUPER_MAGIC &&
                      readlinkat(proc, "self", self, sizeof(self) - 1) > 0 && std::atoi(self) == getpid();
    if (ours) return proc;
    if (proc >= 0) close(proc);
    return -1;
}

/// The number in "/proc/self/fd/7", as which programs name files that they hold; -1 if it is no such path.
int descriptor_in(const char* path) {
    constexpr const char* kPrefixes[] = {"/proc/self/fd/", "/proc/thread-self/fd/"};
    for (const char* prefix : kPrefixes) {
        const std::size_t length = std::strlen(prefix);
        if (std::strncmp(path, prefix, length) != 0) continue;
        char* end = nullptr;
        const long number = std::strtol(path + length, &end, 10);
        if (*end == '\0' && number >= 0 && number <= INT_MAX) return static_cast<int>(number);
    }
    return -1;
}

}  // namespace

Held::~Held() {
    if (fd_ >= 0) close(fd_);
}

const Own& own() {
    static Own known;
    if (known.root < 0) {
        known.root = ::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        known.proc = open_proc();
        known.root_mount = mount_of(known.root);
    }
    return known;
}

bool is_in_image(int fd) {
    return mount_of(fd) == own().root_mount;
}

int open_plainly(const char* path, std::uint64_t flags) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.resolve = RESOLVE_NO_MAGICLINKS;
    return static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));
}

ProcLink::ProcLink(int fd) {
    std::snprintf(text, sizeof(text), "self/fd/%d", fd);
}

PathText::PathText(int fd) {
    if (readlinkat(own().proc, ProcLink(fd).text, text, sizeof(text) - 1) <= 0) std::strcpy(text, "?");
}

void tell_line(char* text, int size, std::size_t capacity) {
    static int lines = 0;
    constexpr int kMaxLines = 20;
    if (lines == kMaxLines || size < 0) return;
    auto length = static_cast<std::size_t>(size);
    if (length > capacity - 2) length = capacity - 2;
    for (std::size_t i = 0; i < length; ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c < 0x20 || c == 0x7f) text[i] = '?';
    }
    text[length++] = '\n';
    [[maybe_unused]] const auto written = write(STDERR_FILENO, text, length);
    constexpr char kNoMore[] = "imgbuild: further refusals are not told\n";
    if (++lines == kMaxLines) [[maybe_unused]]
        const auto last = write(STDERR_FILENO, kNoMore, sizeof(kNoMore) - 1);
}

/// Its list of groups is too large for the stack's taste.
Caller& Desk::kept_caller() {
    static Caller caller;
    caller = {};
    return caller;
}

bool Desk::open() {
    return read_caller(own().proc, static_cast<pid_t>(question_.pid), caller_) == 0;
}

bool Desk::still_waits() const {
    std::uint64_t id = question_.id;
    return ioctl(listener_, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

int Desk::open_base(int number) const {
    if (number == AT_FDCWD) return open_of(own().proc, caller_, "cwd");
    char name[24];
    std::snprintf(name, sizeof(name), "fd/%d", number);
    return number < 0 ? -1 : open_of(own().proc, caller_, name);
}

int open_in_place(const Desk& desk, InPlace& in_place, const Wanted& wanted, int& file) {
    const int held = wanted.held < 0 && wanted.follow ? descriptor_in(wanted.path) : wanted.held;
    const Held root(desk.open_root());
    if (!root.open()) return EPERM;
    // An absolute path asks for no directory, whatever number stands there.
    const Held base(held >= 0 || wanted.path[0] == '/' ? desk.open_root() : desk.open_base(wanted.base));
    if (!base.open()) return EBADF;
    const int given = held >= 0 ? desk.open_base(held) : -1;
    if (held >= 0 && given < 0) return EBADF;
    int error = desk.still_waits() ? 0 : EINTR;
    if (error == 0) error = in_place.begin(desk.caller(), root.get(), base.get());
    if (error != 0) {
        if (given >= 0) close(given);
        return error;
    }
    const std::uint64_t follow = wanted.follow ? 0 : O_NOFOLLOW;
    file = held >= 0 ? given : open_plainly(wanted.path, O_PATH | follow);
    if (file >= 0) return 0;
    error = errno;
    in_place.end();
    return error;
}

}  // namespace imgbuild::sandbox::init
