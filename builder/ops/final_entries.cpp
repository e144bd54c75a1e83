#include "builder/ops/final_entries.hpp"

#include "util/assert.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

namespace imgbuild::builder {
namespace {

using layers::Entry;
using layers::EntryType;

using ByPath = std::map<std::string_view, FinalEntry, layers::PathLess>;

void add_parents(std::string_view path, std::int64_t time, ByPath& out) {
    while (!path.empty()) {
        path = layers::parent_path(path);
        const auto [at, is_new] = out.try_emplace(path);
        if (!is_new) return;
        at->second.entry = {.path = std::string(path),
                            .type = EntryType::directory,
                            .mode = layers::kImplicitMode,
                            .mtime = time,
                            .implicit = true};
    }
}

// A copy gives names of one file one inode only if they are alike in everything that an inode says.
using Inode = std::tuple<std::size_t, std::pair<std::uint64_t, std::uint64_t>, std::uint32_t, std::uint32_t,
                         std::uint32_t, std::uint64_t>;

void join_links(ByPath& entries) {
    std::map<Inode, std::string> first;
    for (auto& [path, final] : entries) {
        const auto* source = final.placed == nullptr ? nullptr : std::get_if<FromSource>(&final.placed->content);
        if (source == nullptr || !source->file.link_group) continue;
        Entry& entry = final.entry;
        const Inode inode(source->action, *source->file.link_group, entry.mode, entry.uid, entry.gid, entry.size);
        const auto [file, is_first] = first.try_emplace(inode, entry.path);
        if (is_first) continue;
        entry.type = EntryType::hardlink;
        entry.link_target = file->second;
        final.placed = nullptr;
    }
}

}  // namespace

bool has_archives(const Placement& placement) {
    return std::any_of(placement.entries.begin(), placement.entries.end(),
                       [](const PlacedEntry& placed) { return std::holds_alternative<FromArchive>(placed.content); });
}

std::vector<FinalEntry> final_entries(const Placement& placement, const SourceFiles& files, std::int64_t time) {
    IMGBUILD_ASSERT(!has_archives(placement));
    ByPath by_path;
    for (const PlacedEntry& placed : placement.entries) {
        FinalEntry& final = by_path[placed.entry.path];
        final.entry = placed.entry;
        const auto* from = std::get_if<FromSource>(&placed.content);
        final.entry.mtime =
            from != nullptr && files.keeps_times(from->action) ? std::min(placed.entry.mtime, time) : time;
        final.placed = placed.entry.type == EntryType::file ? &placed : nullptr;
    }
    for (const PlacedEntry& placed : placement.entries) add_parents(placed.entry.path, time, by_path);
    join_links(by_path);
    std::vector<FinalEntry> out;
    out.reserve(by_path.size());
    for (auto& [path, final] : by_path) out.push_back(std::move(final));
    return out;
}

}  // namespace imgbuild::builder
