// setxattr, lsetxattr and fsetxattr.
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

// Names of layers/tree_marks.hpp, which the init does not link.
constexpr char kMarks[] = "user.imgbuild.";
constexpr char kHeldCapability[] = "user.imgbuild.held.security.capability";
constexpr char kCapability[] = "security.capability";
constexpr std::size_t kMaxName = 256;
constexpr std::size_t kMaxValue = 65536;

bool starts_with(const char* text, const char* prefix) {
    return std::strncmp(text, prefix, std::strlen(prefix)) == 0;
}

/// Who may make devices, give files away and give them capabilities gains nothing by writing our notes himself.
bool is_root(const Caller& caller) {
    return caller.has(CAP_MKNOD) && caller.has(CAP_CHOWN) && caller.has(CAP_SETFCAP);
}

void tell_refusal(const Desk& desk, Call call, const char* name, const char* why) {
    static char path[PATH_MAX];
    if (call == Call::fsetxattr) {
        const Held file(desk.open_base(desk.number(0)));
        const PathText text(file.get());
        std::memcpy(path, text.text, sizeof(path));
    } else if (read_text(desk.caller(), desk.argument(0), path, sizeof(path), ENAMETOOLONG) != 0) {
        std::strcpy(path, "?");
    }
    if (desk.still_waits()) tell("imgbuild: cannot set the attribute '%s' of '%s': %s", name, path, why);
}

struct Value {
    const char* bytes;
    std::size_t size;
    int flags;
};

/// In the caller's place. Descriptors opened with O_PATH take no attributes, so by way of /proc, which is held: the
/// caller's root need not have one.
int set_on(int file, const char* name, const Value& value) {
    if (fchdir(own().proc) != 0) return errno;
    return setxattr(ProcLink(file).text, name, value.bytes, value.size, value.flags) == 0 ? 0 : errno;
}

/// On a file system that knows no such attributes. The caller had the right to set it: the kernel asks for that before
/// it asks the file system.
bool hold_capability(const Caller& caller, int file, const Value& value) {
    struct stat status {};
    if (!caller.has(CAP_SETFCAP) || !is_in_image(file)) return false;
    if (fstatat(file, "", &status, AT_EMPTY_PATH) != 0 || !S_ISREG(status.st_mode)) return false;
    const Held readable(openat(own().proc, ProcLink(file).text, O_RDONLY | O_CLOEXEC));
    return readable.open() && fsetxattr(readable.get(), kHeldCapability, value.bytes, value.size, 0) == 0;
}

int set_in_place(const Desk& desk, Call call, const char* name) {
    static char bytes[kMaxValue];
    static char path[PATH_MAX];
    const std::uint64_t size = desk.argument(3);
    if (size > sizeof(bytes)) return E2BIG;
    if (const int error = read_memory(desk.caller(), desk.argument(2), bytes, size)) return error;
    Wanted wanted{.base = AT_FDCWD, .path = path, .follow = call != Call::lsetxattr};
    if (call == Call::fsetxattr) {
        wanted.held = desk.number(0);
        if (wanted.held < 0) return EBADF;
    } else if (const int error = read_text(desk.caller(), desk.argument(0), path, sizeof(path), ENAMETOOLONG)) {
        return error;
    }
    InPlace in_place(own().root);
    int found = -1;
    if (const int error = open_in_place(desk, in_place, wanted, found)) return error;
    const Held file(found);
    const Value value{.bytes = bytes, .size = size, .flags = desk.number(4)};
    const int error = set_on(file.get(), name, value);
    in_place.end();
    const bool unknown = error == EOPNOTSUPP && std::strcmp(name, kCapability) == 0;
    return unknown && hold_capability(desk.caller(), file.get(), value) ? 0 : error;
}

}  // namespace

Answer set_attribute(Desk& desk, Call call) {
    static char name[kMaxName];
    const int error = read_text(desk.caller(), desk.argument(1), name, sizeof(name), ERANGE);
    if (error != 0) return {.error = error};
    const bool capability = std::strcmp(name, kCapability) == 0;
    const bool foreign = starts_with(name, "trusted.") || (starts_with(name, "security.") && !capability);
    // A security module of this machine may have it otherwise with its own.
    if (foreign && std::strcmp(name, "security.selinux") != 0) {
        tell_refusal(desk, call, name, "an image gets such attributes from its base or an archive only");
    }
    if (is_root(desk.caller()) && !capability) return kGoesOn;
    const bool mark = starts_with(name, kMarks);
    if (mark) tell_refusal(desk, call, name, "only root of the step may write what imgbuild notes on files");
    if (mark || foreign) return {.error = EPERM};
    return {.error = set_in_place(desk, call, name)};
}

}  // namespace imgbuild::sandbox::init
