#include "layers/disk_use.hpp"

#include <imgbuild/error.hpp>

#include "layers/entry.hpp"
#include "util/rooted_dir.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <cerrno>
#include <optional>
#include <vector>

namespace imgbuild::layers {
namespace {

constexpr std::uint64_t kBlockBytes = 512;

std::optional<struct stat> look_at(int directory, const std::string& name) {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return status;
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    throw IoError("look at", name, errno);
}

// What was a directory a moment ago may be a link by now, which is then nothing to look into.
std::optional<util::Fd> open_directory(const util::RootedDir& top, const std::string& path) {
    try {
        return top.find(path, O_RDONLY | O_DIRECTORY, util::Follow::no);
    } catch (const IoError& error) {
        if (error.error_number() == ELOOP) return std::nullopt;
        throw;
    }
}

}  // namespace

void DiskUse::count(const struct stat& status) {
    const bool seen =
        status.st_nlink > 1 && !S_ISDIR(status.st_mode) && !linked_.emplace(status.st_dev, status.st_ino).second;
    if (!seen) bytes_ += static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes;
}

void DiskUse::add_alone(const std::string& path) {
    if (const auto status = look_at(AT_FDCWD, path)) count(*status);
}

void DiskUse::add(const std::string& path) {
    const auto top_status = look_at(AT_FDCWD, path);
    if (!top_status) return;
    count(*top_status);
    if (!S_ISDIR(top_status->st_mode)) return;
    const util::RootedDir top = util::RootedDir::open(path);
    std::vector<std::string> todo = {""};
    while (!todo.empty()) {
        const std::string parent = std::move(todo.back());
        todo.pop_back();
        const auto directory = open_directory(top, parent);
        if (!directory) continue;
        for (const util::DirEntry& child : util::list_directory(directory->get(), parent)) {
            const auto status = look_at(directory->get(), child.name);
            if (!status) continue;
            count(*status);
            if (S_ISDIR(status->st_mode)) todo.push_back(join_path(parent, child.name));
        }
    }
}

std::uint64_t disk_use(const std::string& path) {
    DiskUse use;
    use.add(path);
    return use.bytes();
}

}  // namespace imgbuild::layers
