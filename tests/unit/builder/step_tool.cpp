// A program for steps of tests: system calls that no applet of busybox makes, or not in this way. Each command prints
// "ok" or the error, and what it was asked for.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>

namespace {

int tell(long result) {
    std::puts(result < 0 ? std::strerror(errno) : "ok");
    return 0;
}

const auto kNull = makedev(1, 3);

int set_by(const std::string& how, const char* path, const char* name, const std::string& value) {
    if (how == "setxattr") return tell(setxattr(path, name, value.data(), value.size(), 0));
    if (how == "lsetxattr") return tell(lsetxattr(path, name, value.data(), value.size(), 0));
    const int file = open(path, O_RDONLY);
    if (how == "fsetxattr") return tell(fsetxattr(file, name, value.data(), value.size(), 0));
    const std::string link = "/proc/self/fd/" + std::to_string(file);
    return tell(setxattr(link.c_str(), name, value.data(), value.size(), 0));
}

int show(const char* path, const char* name) {
    char value[256];
    const auto size = getxattr(path, name, value, sizeof(value));
    if (size < 0) return tell(-1);
    std::printf("%.*s\n", static_cast<int>(size), value);
    return 0;
}

/// CAP_NET_RAW, permitted and effective, revision 2.
int make_capable(const char* path) {
    vfs_cap_data data{};
    data.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
    data.data[0].permitted = 1U << CAP_NET_RAW;
    const int file = open(path, O_RDONLY);
    return tell(fsetxattr(file, "security.capability", &data, sizeof(data), 0));
}

/// Tries to have one name looked at and another one used.
int race(const char* path) {
    static char name[] = "user.imgbuild.device";
    constexpr char kHarmless[] = "user.some-other-name";
    static_assert(sizeof(kHarmless) == sizeof(name));
    std::atomic<bool> done = false;
    std::thread flipper([&] {
        const std::string wanted(name);
        for (bool even = false; !done; even = !even) std::memcpy(name, even ? wanted.data() : kHarmless, sizeof(name));
    });
    for (int i = 0; i < 20000; ++i) setxattr(path, name, "c 8 0", 5, 0);
    done = true;
    flipper.join();
    return show(path, "user.imgbuild.device");
}

int bad_memory() {
    const auto* nowhere = reinterpret_cast<const char*>(1);
    tell(syscall(SYS_mknod, nowhere, S_IFCHR | 0600, kNull));
    tell(syscall(SYS_mknod, std::string(5000, 'x').c_str(), S_IFCHR | 0600, kNull));
    tell(syscall(SYS_mknodat, 99, "x", S_IFCHR | 0600, kNull));
    tell(syscall(SYS_setxattr, "/tmp", nowhere, "", 0, 0));
    tell(syscall(SYS_setxattr, nowhere, "user.x", "", 0, 0));
    tell(syscall(SYS_setxattr, "/tmp", "user.x", nowhere, 9, 0));
    tell(syscall(SYS_setxattr, "/tmp", "user.x", "", std::size_t{1} << 40U, 0));
    tell(syscall(SYS_setxattr, "/tmp", std::string(300, 'x').c_str(), "", 0, 0));
    return tell(syscall(SYS_fsetxattr, -1, "user.x", "", 0, 0));
}

int make_in(const char* directory, const char* name) {
    const int fd = open(directory, O_PATH | O_DIRECTORY);
    return tell(mknodat(fd, name, S_IFCHR | 0640, kNull));
}

int make_below(const char* root, const char* path) {
    if (chroot(root) != 0) return tell(-1);
    return tell(mknod(path, S_IFCHR | 0640, kNull));
}

int make_masked(const char* path) {
    umask(027);
    return tell(mknod(path, S_IFCHR | 0666, kNull));
}

}  // namespace

int main(int count, char** words) {
    const std::string command = count > 1 ? words[1] : "";
    const auto word = [&](int index) { return index < count ? words[index] : ""; };
    if (command.ends_with("xattr") || command == "by-descriptor") return set_by(command, word(2), word(3), word(4));
    if (command == "show") return show(word(2), word(3));
    if (command == "capable") return make_capable(word(2));
    if (command == "race") return race(word(2));
    if (command == "bad-memory") return bad_memory();
    if (command == "make-in") return make_in(word(2), word(3));
    if (command == "make-below") return make_below(word(2), word(3));
    if (command == "make-masked") return make_masked(word(2));
    return 2;
}
