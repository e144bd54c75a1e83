#include "builder/sandbox/init/answers.hpp"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "builder/sandbox/init/caller.hpp"

namespace imgbuild::sandbox::init {
namespace {

enum class Call { none, mknod, mknodat, setxattr, lsetxattr, fsetxattr };

// The numbers of every architecture whose programs a step can run (seccomp_profile.cpp).
constexpr struct {
    std::uint32_t architecture;
    int number;
    Call call;
} kCalls[] = {{AUDIT_ARCH_X86_64, 133, Call::mknod},     {AUDIT_ARCH_X86_64, 259, Call::mknodat},
              {AUDIT_ARCH_X86_64, 188, Call::setxattr},  {AUDIT_ARCH_X86_64, 189, Call::lsetxattr},
              {AUDIT_ARCH_X86_64, 190, Call::fsetxattr}, {AUDIT_ARCH_I386, 14, Call::mknod},
              {AUDIT_ARCH_I386, 297, Call::mknodat},     {AUDIT_ARCH_I386, 226, Call::setxattr},
              {AUDIT_ARCH_I386, 227, Call::lsetxattr},   {AUDIT_ARCH_I386, 228, Call::fsetxattr},
              {AUDIT_ARCH_AARCH64, 33, Call::mknodat},   {AUDIT_ARCH_AARCH64, 5, Call::setxattr},
              {AUDIT_ARCH_AARCH64, 6, Call::lsetxattr},  {AUDIT_ARCH_AARCH64, 7, Call::fsetxattr},
              {AUDIT_ARCH_ARM, 14, Call::mknod},         {AUDIT_ARCH_ARM, 324, Call::mknodat},
              {AUDIT_ARCH_ARM, 226, Call::setxattr},     {AUDIT_ARCH_ARM, 227, Call::lsetxattr},
              {AUDIT_ARCH_ARM, 228, Call::fsetxattr}};

// Names of layers/tree_marks.hpp, which the init does not link.
constexpr char kMarks[] = "user.imgbuild.";
constexpr char kDeviceMark[] = "user.imgbuild.device";
constexpr char kCapability[] = "security.capability";
constexpr char kHeldCapability[] = "user.imgbuild.held.security.capability";

constexpr std::size_t kMaxName = 256;
constexpr std::size_t kMaxValue = 65536;
constexpr Answer kGoesOn{.error = 0, .goes_on = true};

Call call_of(const seccomp_data& data) {
    for (const auto& known : kCalls) {
        if (known.architecture == data.arch && known.number == data.nr) return known.call;
    }
    return Call::none;
}

bool starts_with(const char* text, const char* prefix) {
    return std::strncmp(text, prefix, std::strlen(prefix)) == 0;
}

/// A line in the step's output. A step that is refused the same thing in a loop is not to flood it.
void tell(const char* format, auto... values) {
    static int lines = 0;
    constexpr int kMaxLines = 20;
    if (lines == kMaxLines) return;
    char text[2 * PATH_MAX];
    int size = std::snprintf(text, sizeof(text) - 1, format, values...);
    if (size < 0) return;
    if (size > static_cast<int>(sizeof(text)) - 2) size = static_cast<int>(sizeof(text)) - 2;
    for (int i = 0; i < size; ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c < 0x20 || c == 0x7f) text[i] = '?';
    }
    text[size++] = '\n';
    [[maybe_unused]] const auto written = write(STDERR_FILENO, text, static_cast<std::size_t>(size));
    constexpr char kNoMore[] = "imgbuild: further refusals are not told\n";
    if (++lines == kMaxLines) [[maybe_unused]]
        const auto last = write(STDERR_FILENO, kNoMore, sizeof(kNoMore) - 1);
}

/// A descriptor that is closed at the end of its scope.
class Held {
public:
    explicit Held(int fd) : fd_(fd) {}
    ~Held() {
        if (fd_ >= 0) close(fd_);
    }
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

const Own& own() {
    static Own known;
    if (known.root < 0) {
        known.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        known.proc = open_proc();
        known.root_mount = mount_of(known.root);
    }
    return known;
}

/// The path that a held file has in the step, for messages.
struct PathText {
    char text[PATH_MAX]{};
    explicit PathText(int fd) {
        char link[32];
        std::snprintf(link, sizeof(link), "self/fd/%d", fd);
        if (readlinkat(own().proc, link, text, sizeof(text) - 1) <= 0) std::strcpy(text, "?");
    }
};

int open_plainly(const char* path, std::uint64_t flags) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    // "/proc/self" would be this process.
    how.resolve = RESOLVE_NO_MAGICLINKS;
    return static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));
}

/// One question while it is answered.
class Desk {
public:
    Desk(int listener, const seccomp_notif& question) : listener_(listener), question_(question) {}

    Answer answer() {
        const Call call = call_of(question_.data);
        if (call == Call::none) return {.error = ENOSYS};
        if (own().proc < 0 || own().root < 0) return {.error = EOPNOTSUPP};
        const auto pid = static_cast<pid_t>(question_.pid);
        if (read_caller(own().proc, pid, caller_) != 0) return {.error = EPERM};
        switch (call) {
            case Call::mknod:
                return make_device(AT_FDCWD, 0);
            case Call::mknodat:
                return make_device(static_cast<int>(argument(0)), 1);
            default:
                return set_attribute(call);
        }
    }

private:
    std::uint64_t argument(unsigned index) const { return question_.data.args[index]; }

    /// What was read through the caller's number was the caller's, if he waits still.
    bool still_waits() const {
        std::uint64_t id = question_.id;
        return ioctl(listener_, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
    }

    int open_base(int directory) const {
        if (directory == AT_FDCWD) return open_of(own().proc, caller_, "cwd");
        char name[24];
        std::snprintf(name, sizeof(name), "fd/%d", directory);
        return directory < 0 ? -1 : open_of(own().proc, caller_, name);
    }

    // ---------------------------------------------------------------- devices

    /// `first`: the argument that is the path.
    Answer make_device(int directory, unsigned first) {
        // The kernel says no, and whether it is because of this or of something else.
        if (!caller_.has(CAP_MKNOD)) return kGoesOn;
        const auto mode = static_cast<mode_t>(argument(first + 1));
        const auto device = static_cast<std::uint32_t>(argument(first + 2));
        static char path[PATH_MAX];
        if (const int error = read_text(caller_, argument(first), path, sizeof(path), ENAMETOOLONG)) {
            return {.error = error};
        }
        const Held root(open_of(own().proc, caller_, "root"));
        if (!root.open()) return {.error = EPERM};
        // An absolute path asks for no directory, whatever number stands there.
        const Held base(path[0] == '/' ? open_of(own().proc, caller_, "root") : open_base(directory));
        if (!base.open()) return {.error = EBADF};
        if (!still_waits()) return {.error = EINTR};
        return {.error = place_device(path, root.get(), base.get(), mode, device)};
    }

    int place_device(char* path, int root, int base, mode_t mode, std::uint32_t device) {
        char* slash = std::strrchr(path, '/');
        const char* name = slash == nullptr ? path : slash + 1;
        if (*name == '\0') return slash == path ? EEXIST : ENOENT;
        if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) return EEXIST;
        const char* parent = slash == nullptr ? "." : (slash == path ? "/" : path);
        if (slash != nullptr && slash != path) *slash = '\0';

        InPlace in_place(own().root);
        if (const int error = in_place.begin(caller_, root, base)) return error;
        const Held directory(open_plainly(parent, O_PATH | O_DIRECTORY));
        int error = directory.open() ? 0 : errno;
        int file = -1;
        if (error == 0 && may_hold_device(directory.get(), name, mode, device, error)) {
            file = openat(directory.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 07777U);
            if (file < 0) error = errno;
        }
        in_place.end();
        if (error == EPERM && directory.open()) tell_device(directory.get(), name, mode, device);
        if (error != 0) return error;
        const Held placeholder(file);
        return note_device(file, directory.get(), name, mode, device);
    }

    /// The device as its mark: what the kernel packs into 32 bits for programs.
    static int write_mark(char* into, std::size_t size, mode_t mode, std::uint32_t device) {
        const std::uint32_t major = (device & 0xfff00U) >> 8U;
        const std::uint32_t minor = (device & 0xffU) | ((device >> 12U) & 0xfff00U);
        return std::snprintf(into, size, "%c %u %u", S_ISCHR(mode) ? 'c' : 'b', major, minor);
    }

    /// Asked in the caller's place.
    static bool may_hold_device(int directory, const char* name, mode_t mode, std::uint32_t device, int& error) {
        if (mount_of(directory) == own().root_mount && !(S_ISCHR(mode) && device == 0)) return true;
        const bool exists = faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
        error = exists ? EEXIST : EPERM;
        return false;
    }

    static void tell_device(int directory, const char* name, mode_t mode, std::uint32_t device) {
        char numbers[40];
        write_mark(numbers, sizeof(numbers), mode, device);
        const PathText path(directory);
        const char* why = "the kernel forbids it";
        if (S_ISCHR(mode) && device == 0) why = "overlays mark with it what is deleted";
        if (mount_of(directory) != own().root_mount) {
            why = "its directory is a mount and not part of the image, and no step has devices of this machine";
        }
        tell("imgbuild: cannot make the device '%s%s%s' (%s): %s", path.text, path.text[1] == '\0' ? "" : "/", name,
             numbers, why);
    }

    static int note_device(int file, int directory, const char* name, mode_t mode, std::uint32_t device) {
        char mark[40];
        const int size = write_mark(mark, sizeof(mark), mode, device);
        if (fsetxattr(file, kDeviceMark, mark, static_cast<std::size_t>(size), 0) == 0) return 0;
        const int error = errno;
        unlinkat(directory, name, 0);
        return error;
    }

    // ---------------------------------------------------------------- attributes

    /// Who may make devices, give files away and give them capabilities gains nothing by writing our notes himself.
    bool is_root() const { return caller_.has(CAP_MKNOD) && caller_.has(CAP_CHOWN) && caller_.has(CAP_SETFCAP); }

    Answer set_attribute(Call call) {
        static char name[kMaxName];
        const int error = read_text(caller_, argument(1), name, sizeof(name), ERANGE);
        if (error != 0) return {.error = error};
        const bool capability = std::strcmp(name, kCapability) == 0;
        const bool foreign = starts_with(name, "trusted.") || (starts_with(name, "security.") && !capability);
        // A security module of this machine may have it otherwise with its own.
        if (foreign && std::strcmp(name, "security.selinux") != 0) {
            tell_attribute(call, name, "an image gets such attributes from its base or an archive only");
        }
        if (is_root() && !capability) return kGoesOn;
        const bool mark = starts_with(name, kMarks);
        if (mark) tell_attribute(call, name, "only root of the step may write what imgbuild notes on files");
        if (mark || foreign) return {.error = EPERM};
        return {.error = set_in_place(call, name)};
    }

    /// The file that a call means; -1 and errno. In the caller's place, except for descriptors of his.
    int open_file(Call call, const char* path) const {
        const std::uint64_t follow = call == Call::lsetxattr ? O_NOFOLLOW : 0;
        return open_plainly(path, O_PATH | follow);
    }

    /// The number in "/proc/self/fd/7", as which programs name files that they hold; -1 if it is no such path.
    static int descriptor_in(const char* path) {
        constexpr const char* kPrefixes[] = {"/proc/self/fd/", "/proc/thread-self/fd/"};
        for (const char* prefix : kPrefixes) {
            if (!starts_with(path, prefix)) continue;
            char* end = nullptr;
            const long number = std::strtol(path + std::strlen(prefix), &end, 10);
            if (*end == '\0' && number >= 0 && number <= INT_MAX) return static_cast<int>(number);
        }
        return -1;
    }

    int set_in_place(Call call, const char* name) {
        static char value[kMaxValue];
        static char path[PATH_MAX];
        const std::uint64_t size = argument(3);
        if (size > sizeof(value)) return E2BIG;
        if (const int error = read_memory(caller_, argument(2), value, size)) return error;
        int held = call == Call::fsetxattr ? static_cast<int>(argument(0)) : -1;
        if (call != Call::fsetxattr) {
            if (const int error = read_text(caller_, argument(0), path, sizeof(path), ENAMETOOLONG)) return error;
            if (call == Call::setxattr) held = descriptor_in(path);
        } else if (held < 0) {
            return EBADF;
        }
        const Held root(open_of(own().proc, caller_, "root"));
        const Held base(open_base(AT_FDCWD));
        if (!root.open() || !base.open()) return EPERM;
        const Held given(held >= 0 ? open_base(held) : -1);
        if (held >= 0 && !given.open()) return EBADF;
        if (!still_waits()) return EINTR;

        InPlace in_place(own().root);
        if (const int error = in_place.begin(caller_, root.get(), base.get())) return error;
        const Held found(held >= 0 ? -1 : open_file(call, path));
        const int file = held >= 0 ? given.get() : found.get();
        int error = file < 0 ? errno : 0;
        if (error == 0) error = set_on(file, name, value, size, static_cast<int>(argument(4)));
        in_place.end();
        if (error == EOPNOTSUPP && std::strcmp(name, kCapability) == 0) {
            error = hold_capability(file, value, size) ? 0 : EOPNOTSUPP;
        }
        return error;
    }

    /// In the caller's place. Descriptors opened with O_PATH take no attributes, so by way of /proc, which is held:
    /// the caller's root need not have one.
    static int set_on(int file, const char* name, const char* value, std::uint64_t size, int flags) {
        char link[32];
        std::snprintf(link, sizeof(link), "self/fd/%d", file);
        if (fchdir(own().proc) != 0) return errno;
        return setxattr(link, name, value, size, flags) == 0 ? 0 : errno;
    }

    /// On a file system that knows no such attributes. The caller had the right to set it: the kernel asks for that
    /// before it asks the file system.
    bool hold_capability(int file, const char* value, std::uint64_t size) const {
        if (!caller_.has(CAP_SETFCAP) || mount_of(file) != own().root_mount) return false;
        char link[40];
        std::snprintf(link, sizeof(link), "self/fd/%d", file);
        struct stat status {};
        if (fstatat(file, "", &status, AT_EMPTY_PATH) != 0 || !S_ISREG(status.st_mode)) return false;
        const Held readable(openat(own().proc, link, O_RDONLY | O_CLOEXEC));
        return readable.open() && fsetxattr(readable.get(), kHeldCapability, value, size, 0) == 0;
    }

    void tell_attribute(Call call, const char* name, const char* why) const {
        static char path[PATH_MAX];
        if (call == Call::fsetxattr) {
            const Held file(open_base(static_cast<int>(argument(0))));
            const PathText text(file.get());
            std::memcpy(path, text.text, sizeof(path));
        } else if (read_text(caller_, argument(0), path, sizeof(path), ENAMETOOLONG) != 0) {
            std::strcpy(path, "?");
        }
        if (still_waits()) tell("imgbuild: cannot set the attribute '%s' of '%s': %s", name, path, why);
    }

    int listener_;
    const seccomp_notif& question_;
    Caller& caller_ = kept_caller();

    /// Its list of groups is too large for the stack's taste.
    static Caller& kept_caller() {
        static Caller caller;
        caller = {};
        return caller;
    }
};

}  // namespace

Answer answer_call(int listener, const seccomp_notif& question) {
    return Desk(listener, question).answer();
}

}  // namespace imgbuild::sandbox::init
