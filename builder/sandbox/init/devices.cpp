// mknod and mknodat of devices.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "builder/sandbox/init/desk.hpp"

namespace imgbuild::sandbox::init {
namespace {

// A name of layers/tree_marks.hpp, which the init does not link.
constexpr char kDeviceMark[] = "user.imgbuild.device";

struct Device {
    mode_t mode = 0;
    /// As the kernel packs the numbers into 32 bits for programs.
    std::uint32_t numbers = 0;

    bool is_whiteout() const { return S_ISCHR(mode) && numbers == 0; }
};

/// "c 1 3"
struct Mark {
    char text[40];
    std::size_t size;
    explicit Mark(const Device& device) {
        const std::uint32_t major = (device.numbers & 0xfff00U) >> 8U;
        const std::uint32_t minor = (device.numbers & 0xffU) | ((device.numbers >> 12U) & 0xfff00U);
        const char type = S_ISCHR(device.mode) ? 'c' : 'b';
        size = static_cast<std::size_t>(std::snprintf(text, sizeof(text), "%c %u %u", type, major, minor));
    }
};

void tell_refusal(int directory, const char* name, const Device& device) {
    const PathText path(directory);
    const char* why = "the kernel forbids it";
    if (device.is_whiteout()) why = "overlays mark with it what is deleted";
    if (!is_in_image(directory)) {
        why = "its directory is a mount and not part of the image, and no step has devices of this machine";
    }
    tell("imgbuild: cannot make the device '%s%s%s' (%s): %s", path.text, path.text[1] == '\0' ? "" : "/", name,
         Mark(device).text, why);
}

/// In the caller's place. A descriptor, or -1 and errno.
int create(int directory, const char* name, const Device& device) {
    if (is_in_image(directory) && !device.is_whiteout()) {
        constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
        return openat(directory, name, kFlags, device.mode & 07777U);
    }
    const bool exists = faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    errno = exists ? EEXIST : EPERM;
    return -1;
}

int note(int file, int directory, const char* name, const Device& device) {
    const Mark mark(device);
    if (fsetxattr(file, kDeviceMark, mark.text, mark.size, 0) == 0) return 0;
    const int error = errno;
    unlinkat(directory, name, 0);
    return error;
}

int place(const Desk& desk, char* path, int base, const Device& device) {
    char* slash = std::strrchr(path, '/');
    const char* name = slash == nullptr ? path : slash + 1;
    if (*name == '\0') return slash == path ? EEXIST : ENOENT;
    if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) return EEXIST;
    const char* parent = slash == nullptr ? "." : (slash == path ? "/" : path);
    if (slash != nullptr && slash != path) *slash = '\0';

    InPlace in_place(own().root);
    int found = -1;
    if (const int error = open_in_place(desk, in_place, {.base = base, .path = parent}, found)) return error;
    const Held directory(found);
    const Held file(create(directory.get(), name, device));
    const int error = file.open() ? 0 : errno;
    in_place.end();
    if (error == EPERM) tell_refusal(directory.get(), name, device);
    return error != 0 ? error : note(file.get(), directory.get(), name, device);
}

}  // namespace

Answer make_device(Desk& desk, Call call) {
    // The kernel says no, and whether it is because of this or of something else.
    if (!desk.caller().has(CAP_MKNOD)) return kGoesOn;
    const unsigned first = call == Call::mknodat ? 1 : 0;
    const Device device{.mode = static_cast<mode_t>(desk.argument(first + 1)),
                        .numbers = static_cast<std::uint32_t>(desk.argument(first + 2))};
    static char path[PATH_MAX];
    const int error = read_text(desk.caller(), desk.argument(first), path, sizeof(path), ENAMETOOLONG);
    return {.error = error != 0 ? error : place(desk, path, first == 1 ? desk.number(0) : AT_FDCWD, device)};
}

}  // namespace imgbuild::sandbox::init
