// chown, lchown, fchown and fchownat to ids that the step's user namespace does not have.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "builder/sandbox/init/desk.hpp"
#include "builder/sandbox/init/state.hpp"

namespace imgbuild::sandbox::init {
namespace {

// A name and an id of layers/tree_marks.hpp, which the init does not link.
constexpr char kOwnerMark[] = "user.imgbuild.owner";
constexpr std::uint32_t kStandIn = 65534;
constexpr std::uint32_t kUnchanged = 0xffffffff;
/// Links and fifos whose owners the worker has to remember for us.
constexpr unsigned kMaxTold = 100'000;

/// The ids of this user namespace: lines of "first-inside first-outside count".
class Map {
public:
    void ensure(const char* name) {
        if (text_[0] != '\0') return;
        const int file = openat(own().proc, name, O_RDONLY | O_CLOEXEC);
        if (file < 0) return;
        const ssize_t size = read(file, text_, sizeof(text_) - 1);
        close(file);
        text_[size > 0 ? size : 0] = '\0';
    }

    bool has(std::uint32_t id) const {
        const char* line = text_;
        while (*line != '\0') {
            std::uint64_t numbers[3]{};
            for (std::uint64_t& number : numbers) {
                char* end = nullptr;
                number = std::strtoull(line, &end, 10);
                if (end == line) return false;
                line = end;
            }
            if (id >= numbers[0] && id - numbers[0] < numbers[2]) return true;
            while (*line == '\n' || *line == ' ') ++line;
        }
        return false;
    }

private:
    // The kernel takes 340 lines, of 33 bytes.
    char text_[12288]{};
};

struct Ids {
    std::uint32_t uid = kUnchanged;
    std::uint32_t gid = kUnchanged;
};

const Map& users() {
    static Map map;
    map.ensure("self/uid_map");
    return map;
}

const Map& groups() {
    static Map map;
    map.ensure("self/gid_map");
    return map;
}

bool is_known(const Ids& ids) {
    return (ids.uid == kUnchanged || users().has(ids.uid)) && (ids.gid == kUnchanged || groups().has(ids.gid));
}

/// Who owns the inode in place of `ids`.
Ids stand_in(const Ids& ids) {
    const auto one = [](std::uint32_t id, const Map& map) { return id == kUnchanged || map.has(id) ? id : kStandIn; };
    return {.uid = one(ids.uid, users()), .gid = one(ids.gid, groups())};
}

/// What is noted already and still holds: the id of one note out of four numbers; else the inode's.
Ids noted_before(int file, const struct stat& inode) {
    char text[64]{};
    Ids out{.uid = inode.st_uid, .gid = inode.st_gid};
    if (getxattr(ProcLink(file).text, kOwnerMark, text, sizeof(text) - 1) <= 0) return out;
    std::uint32_t numbers[4]{};
    const char* at = text;
    for (std::uint32_t& number : numbers) {
        char* end = nullptr;
        number = static_cast<std::uint32_t>(std::strtoul(at, &end, 10));
        if (end == at) return out;
        at = end;
    }
    if (numbers[2] == inode.st_uid) out.uid = numbers[0];
    if (numbers[3] == inode.st_gid) out.gid = numbers[1];
    return out;
}

/// On files and directories, which can carry it. `before`: who the file belonged to, as it seemed and in truth; to give
/// it to whom it seems to belong changes nothing, which is how some programs change the group alone.
int note(int file, const Ids& asked, const struct stat& inode, const Ids& before) {
    struct stat now {};
    if (fstatat(file, "", &now, AT_EMPTY_PATH) != 0) return errno;
    const bool keeps_user = asked.uid == kUnchanged || asked.uid == inode.st_uid;
    const bool keeps_group = asked.gid == kUnchanged || asked.gid == inode.st_gid;
    char text[64];
    const int size = std::snprintf(text, sizeof(text), "%u %u %u %u", keeps_user ? before.uid : asked.uid,
                                   keeps_group ? before.gid : asked.gid, now.st_uid, now.st_gid);
    return setxattr(ProcLink(file).text, kOwnerMark, text, static_cast<std::size_t>(size), 0) == 0 ? 0 : errno;
}

/// Links and fifos carry nothing: the worker remembers them by their path.
int tell_worker(int file, const Ids& asked) {
    static unsigned told = 0;
    const PathText path(file);
    wire::Message message;
    const std::size_t size = std::strlen(path.text) + 1;
    if (told == kMaxTold || size > sizeof(message.path)) return EINVAL;
    ++told;
    message.kind = wire::MessageKind::owner;
    message.operation = asked.uid;
    message.value = static_cast<std::int32_t>(asked.gid);
    std::memcpy(message.path, path.text, size);
    send(message);
    return 0;
}

void tell_refusal(int file, const Ids& asked) {
    const PathText path(file);
    tell(
        "imgbuild: cannot give '%s' to %u:%u: this user namespace does not have these ids, and there is no place for a "
        "note",
        path.text, asked.uid, asked.gid);
}

int give(const Desk& desk, const Wanted& wanted, const Ids& asked) {
    const Ids given = stand_in(asked);
    InPlace in_place(own().root);
    int found = -1;
    if (const int error = open_in_place(desk, in_place, wanted, found)) return error;
    const Held file(found);
    struct stat inode {};
    int error = fstatat(file.get(), "", &inode, AT_EMPTY_PATH) == 0 ? 0 : errno;
    const bool possible = is_in_image(file.get()) && is_known(given);
    if (error == 0 && !possible) error = EINVAL;
    const bool carries = S_ISREG(inode.st_mode) || S_ISDIR(inode.st_mode);
    if (error == 0 && fchownat(file.get(), "", given.uid, given.gid, AT_EMPTY_PATH) != 0) error = errno;
    in_place.end();
    if (error == 0 && fchdir(own().proc) == 0) {
        error =
            carries ? note(file.get(), asked, inode, noted_before(file.get(), inode)) : tell_worker(file.get(), asked);
        if (fchdir(own().root) != 0) error = errno;
    }
    if (error == EINVAL) tell_refusal(file.get(), asked);
    return error;
}

}  // namespace

Answer change_owner(Desk& desk, Call call) {
    const unsigned first = call == Call::fchownat ? 2 : 1;
    const Ids asked{.uid = static_cast<std::uint32_t>(desk.argument(first)),
                    .gid = static_cast<std::uint32_t>(desk.argument(first + 1))};
    // The numbers are in registers: nobody can change them until the kernel looks.
    if (is_known(asked) || !desk.caller().has(CAP_CHOWN)) return kGoesOn;
    static char path[PATH_MAX];
    Wanted wanted{.base = AT_FDCWD, .path = path, .follow = call != Call::lchown};
    const int flags = call == Call::fchownat ? desk.number(4) : 0;
    if (call == Call::fchown) {
        wanted.held = desk.number(0);
        if (wanted.held < 0) return {.error = EBADF};
    } else {
        const unsigned at = call == Call::fchownat ? 1 : 0;
        const int error = read_text(desk.caller(), desk.argument(at), path, sizeof(path), ENAMETOOLONG);
        if (error != 0) return {.error = error};
    }
    if (call == Call::fchownat) {
        if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return {.error = EINVAL};
        wanted.base = desk.number(0);
        wanted.follow = (flags & AT_SYMLINK_NOFOLLOW) == 0;
        const bool itself = path[0] == '\0' && (flags & AT_EMPTY_PATH) != 0;
        if (itself && wanted.base == AT_FDCWD) std::strcpy(path, ".");
        if (itself && wanted.base != AT_FDCWD) wanted.held = wanted.base;
    }
    return {.error = give(desk, wanted, asked)};
}

}  // namespace imgbuild::sandbox::init
