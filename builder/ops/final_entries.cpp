#include "builder/ops/final_entries.hpp"

#include "util/assert.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace imgbuild::builder {
namespace {

using layers::Entry;
using layers::EntryType;

// In path order, the last of each path. Selections are in that order already, mostly.
std::vector<const PlacedEntry*> last_of_each(const Placement& placement) {
    const auto before = [](const PlacedEntry* a, const PlacedEntry* b) {
        return layers::compare_paths(a->entry.path, b->entry.path) < 0;
    };
    std::vector<const PlacedEntry*> out;
    out.reserve(placement.entries.size());
    for (const PlacedEntry& placed : placement.entries) out.push_back(&placed);
    if (!std::is_sorted(out.begin(), out.end(), before)) std::stable_sort(out.begin(), out.end(), before);
    const auto replaced = std::unique(out.rbegin(), out.rend(), [](const PlacedEntry* a, const PlacedEntry* b) {
        return a->entry.path == b->entry.path;
    });
    out.erase(out.begin(), replaced.base());
    return out;
}

// The directories on the way to `path` that are not in `out` yet. What is in a directory directly follows it, so one is
// there exactly if the last entry is it or lies in it.
void add_parents(std::string_view path, std::int64_t time, std::vector<FinalEntry>& out) {
    std::vector<std::string_view> missing;
    while (!path.empty()) {
        path = layers::parent_path(path);
        if (!out.empty() && (out.back().entry.path == path || layers::is_inside(out.back().entry.path, path))) break;
        missing.push_back(path);
    }
    for (auto directory = missing.rbegin(); directory != missing.rend(); ++directory) {
        out.push_back({.entry = {.path = std::string(*directory),
                                 .type = EntryType::directory,
                                 .mode = layers::kImplicitMode,
                                 .mtime = time,
                                 .implicit = true},
                       .placed = nullptr});
    }
}

// A copy gives names of one file one inode only if they are alike in everything that an inode says.
using Inode = std::tuple<std::size_t, std::pair<std::uint64_t, std::uint64_t>, std::uint32_t, std::uint32_t,
                         std::uint32_t, std::uint64_t>;

void join_links(std::vector<FinalEntry>& entries) {
    std::map<Inode, std::string> first;
    for (FinalEntry& final : entries) {
        const auto* source = final.placed == nullptr ? nullptr : std::get_if<FromSource>(&final.placed->content);
        if (source == nullptr || !source->file->link_group) continue;
        Entry& entry = final.entry;
        const Inode inode(source->action, *source->file->link_group, entry.mode, entry.uid, entry.gid, entry.size);
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
    const std::vector<const PlacedEntry*> order = last_of_each(placement);
    std::vector<FinalEntry> out;
    out.reserve(order.size() + 1);
    for (const PlacedEntry* placed : order) {
        add_parents(placed->entry.path, time, out);
        out.push_back({.entry = placed->entry, .placed = nullptr});
        FinalEntry& final = out.back();
        const auto* from = std::get_if<FromSource>(&placed->content);
        final.entry.mtime =
            from != nullptr && files.keeps_times(from->action) ? std::min(placed->entry.mtime, time) : time;
        if (placed->entry.type == EntryType::file) final.placed = placed;
    }
    join_links(out);
    return out;
}

}  // namespace imgbuild::builder
