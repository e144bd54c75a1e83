// SQLite's write-ahead log needs memory that all its users share, and our leases need flock(): both are a kernel's own.
// A file system that several machines see has neither across them, whatever each of them believes, and two builds that
// do not see each other's locks ruin the index. So such places are refused at once, in place of a damaged store later.
#include "layers/file_system.hpp"

#include <imgbuild/error.hpp>

#include "util/fd.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <algorithm>
#include <array>
#include <cerrno>

namespace imgbuild::layers {
namespace {

constexpr std::uint64_t kFuse = 0x65735546;

struct Magic {
    std::uint64_t number;
    const char* name;
};

// Those with a name in linux/magic.h, and what the out-of-tree ones document.
constexpr std::array<Magic, 18> kUnreliable = {{
    {0x6969, "NFS"},
    {0xff534d42, "CIFS"},
    {0xfe534d42, "SMB2"},
    {0x517b, "SMB"},
    {0x564c, "NCP"},
    {0x01021997, "9p"},
    {0x00c36400, "Ceph"},
    {0x5346414f, "AFS"},
    {0x6b414653, "kAFS"},
    {0x73757245, "Coda"},
    {0x7461636f, "OCFS2"},
    {0x01161970, "GFS2"},
    {0x0bd00bd0, "Lustre"},
    {0x19830326, "BeeGFS"},
    {0x47504653, "GPFS"},
    {0x20030528, "OrangeFS"},
    {0xbacbacbc, "vmhgfs"},
    {0x786f4256, "vboxsf"},
}};

// Programs behind FUSE whose files lie on other machines. Others (fuse-overlayfs, virtiofs, gocryptfs, mergerfs) are a
// view of this machine's, and its kernel keeps their locks.
constexpr std::array<std::string_view, 18> kFarAway = {
    "sshfs",  "s3fs",      "rclone",    "gcsfuse",   "goofys",  "geesefs", "mount-s3", "blobfuse",   "blobfuse2",
    "davfs2", "glusterfs", "ceph-fuse", "curlftpfs", "juicefs", "moosefs", "mfs",      "gvfsd-fuse", "portal",
};

// The third field of a line in mountinfo is the device, and the type follows " - ".
std::string type_of_device(dev_t device) {
    constexpr std::size_t kMaxMounts = std::size_t{16} << 20;
    const std::string wanted = fmt::format("{}:{}", ::major(device), ::minor(device));
    const std::string text = util::read_file("/proc/self/mountinfo", kMaxMounts);
    for (const std::string_view line : util::split(text, '\n')) {
        const auto fields = util::split(line, ' ');
        const auto dash = std::find(fields.begin(), fields.end(), "-");
        if (fields.size() > 2 && fields[2] == wanted && fields.end() - dash > 1) return std::string(dash[1]);
    }
    return {};
}

// The nearest directory that is there.
std::string existing_parent(std::string path) {
    struct stat status {};
    while (::stat(path.c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        const std::size_t slash = path.rfind('/');
        if (slash == std::string::npos || slash == 0) return "/";
        path.resize(slash);
    }
    return path;
}

}  // namespace

std::optional<std::string> unreliable_file_system(std::uint64_t magic, std::string_view type) {
    const auto* const known =
        std::find_if(kUnreliable.begin(), kUnreliable.end(), [&](const Magic& row) { return row.number == magic; });
    if (known != kUnreliable.end()) return known->name;
    if (magic != kFuse) return std::nullopt;
    constexpr std::string_view kPrefix = "fuse.";
    const std::string_view program = type.starts_with(kPrefix) ? type.substr(kPrefix.size()) : type;
    if (std::find(kFarAway.begin(), kFarAway.end(), program) == kFarAway.end()) return std::nullopt;
    return std::string(program);
}

void require_reliable_file_system(const std::string& root) {
    const std::string place = existing_parent(root);
    struct statfs about {};
    if (::statfs(place.c_str(), &about) != 0) throw IoError("look at the file system of", place, errno);
    // Some architectures have a signed 32-bit field, which must not smear its sign.
    const std::uint64_t magic = static_cast<std::uint32_t>(about.f_type);
    std::string type;
    if (magic == kFuse) {
        struct stat status {};
        if (::stat(place.c_str(), &status) == 0) type = type_of_device(status.st_dev);
    }
    const auto name = unreliable_file_system(magic, type);
    if (!name) return;
    throw Error({.code = "store.network",
                 .message = fmt::format("the store {} would lie on {}, whose locks do not hold between all who see it",
                                        util::quote(root), *name),
                 .hint = "set IMGBUILD_ROOT or --root to a directory on a disk of this machine",
                 .where = {}});
}

}  // namespace imgbuild::layers
