#include "layers/tree_check.hpp"

#include <imgbuild/error.hpp>

#include "layers/failure.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <vector>

namespace imgbuild::layers {
namespace {

std::string where(const std::string& path) {
    return util::quote("/" + path);
}

std::optional<std::string> compare(const Entry& entry, const util::RootedDir& tree) {
    if (entry.external) return std::nullopt;
    const auto status = tree.stat(entry.path, util::Follow::no);
    if (!status) return fmt::format("{} is missing", where(entry.path));
    if ((entry.type == EntryType::directory) != S_ISDIR(status->st_mode)) {
        return fmt::format("{} is another kind of file than it should be", where(entry.path));
    }
    const bool has_content = entry.type == EntryType::file || entry.type == EntryType::hardlink;
    if (has_content && !S_ISREG(status->st_mode)) return fmt::format("{} is no regular file", where(entry.path));
    if (has_content && static_cast<std::uint64_t>(status->st_size) != entry.size) {
        return fmt::format("{} has {} bytes and should have {}", where(entry.path), status->st_size, entry.size);
    }
    if (entry.type != EntryType::symlink) return std::nullopt;
    if (!S_ISLNK(status->st_mode)) return fmt::format("{} is no symbolic link", where(entry.path));
    if (tree.read_link(entry.path) == entry.link_target) return std::nullopt;
    return fmt::format("{} leads elsewhere than it should", where(entry.path));
}

}  // namespace

std::optional<std::string> find_tree_damage(const NameIndex& names, const util::RootedDir& tree,
                                            const std::stop_token& stop) {
    for (const Entry& entry : names.entries()) {
        check_stop(stop);
        if (auto damage = compare(entry, tree)) return damage;
    }
    // And nothing besides, since steps would see it.
    std::vector<std::string> todo = {""};
    while (!todo.empty()) {
        check_stop(stop);
        const std::string parent = std::move(todo.back());
        todo.pop_back();
        const util::Fd directory = tree.open_file(parent, O_RDONLY | O_DIRECTORY, util::Follow::no);
        for (const util::DirEntry& child : util::list_directory(directory.get(), parent)) {
            const std::string path = join_path(parent, child.name);
            const Entry* entry = names.find(path);
            if (entry == nullptr) return fmt::format("{} should not be there", where(path));
            if (entry->type == EntryType::directory) todo.push_back(path);
        }
    }
    return std::nullopt;
}

}  // namespace imgbuild::layers
