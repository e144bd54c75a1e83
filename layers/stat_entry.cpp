#include "layers/stat_entry.hpp"

#include "util/assert.hpp"

#include <sys/sysmacros.h>

namespace imgbuild::layers {

std::optional<EntryType> entry_type(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFREG:
            return EntryType::file;
        case S_IFDIR:
            return EntryType::directory;
        case S_IFLNK:
            return EntryType::symlink;
        case S_IFIFO:
            return EntryType::fifo;
        case S_IFCHR:
            return EntryType::char_device;
        case S_IFBLK:
            return EntryType::block_device;
        default:
            return std::nullopt;
    }
}

Entry stat_entry(std::string_view path, const struct stat& status) {
    const auto type = entry_type(status.st_mode);
    IMGBUILD_ASSERT(type.has_value());
    Entry entry{.path = std::string(path), .type = *type};
    entry.mode = status.st_mode & 07777U;
    entry.uid = status.st_uid;
    entry.gid = status.st_gid;
    entry.mtime = status.st_mtim.tv_sec;
    if (*type == EntryType::file) entry.size = static_cast<std::uint64_t>(status.st_size);
    if (*type == EntryType::char_device || *type == EntryType::block_device) {
        entry.dev_major = major(status.st_rdev);
        entry.dev_minor = minor(status.st_rdev);
    }
    return entry;
}

bool is_written_by_host(std::string_view xattr) {
    return xattr == "security.selinux" || xattr == "security.ima" || xattr == "security.evm";
}

}  // namespace imgbuild::layers
