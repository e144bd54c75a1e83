#include "layers/patch.hpp"

#include "util/assert.hpp"

#include <fcntl.h>
#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace imgbuild::layers {
namespace {

class PatchPlanner {
public:
    explicit PatchPlanner(const ChainView& chain) : chain_(chain) {}

    std::vector<PatchItem> plan() {
        for (std::size_t layer = 0; layer < chain_.size(); ++layer) {
            plan_stray_whiteouts(layer);
            plan_implicit(layer);
            plan_hard_links(layer);
            plan_moves(layer);
        }
        name_files();
        add_parents();
        std::vector<PatchItem> out;
        for (auto& [path, item] : items_) out.push_back(std::move(item));
        return out;
    }

private:
    using Paths = std::set<std::string, PathLess>;

    void plan_implicit(std::size_t layer) {
        const NameIndex& names = chain_.names(layer);
        for (const std::size_t i : names.implicit()) {
            const std::string& path = names.entries()[i].path;
            const auto found = chain_.find(path);
            const bool described_below =
                found && found->entry->type == EntryType::directory && !found->entry->implicit && found->layer < layer;
            if (described_below) describe(path, *found);
        }
    }

    // A directory that only one layer has is listed by the kernel as it is, with whiteouts that hide nothing as
    // files that do not exist. With the patch there are two, and the kernel looks more closely.
    void plan_stray_whiteouts(std::size_t layer) {
        for (const Entry& entry : chain_.names(layer).entries()) {
            if (entry.type != EntryType::whiteout || chain_.find_below(entry.path, layer)) continue;
            const std::string parent(parent_path(entry.path));
            const auto found = chain_.find(parent);
            if (found && found->entry->type == EntryType::directory) describe(parent, *found);
        }
    }

    void plan_hard_links(std::size_t layer) {
        for (const Entry& entry : chain_.names(layer).entries()) {
            if (!entry.external) continue;
            const auto found = chain_.find(entry.path);
            if (!found || found->entry != &entry) continue;
            add_name(entry.path, *found);
            add_other_names(chain_.inode(*found));
        }
    }

    // The names that the file has in its own layer, as far as one still sees them there.
    void add_other_names(const Found& file) {
        add_if_same(file.entry->path, file);
        for (const Entry& entry : chain_.names(file.layer).entries()) {
            const bool name =
                entry.type == EntryType::hardlink && !entry.external && entry.link_target == file.entry->path;
            if (name) add_if_same(entry.path, file);
        }
    }

    void add_if_same(const std::string& path, const Found& file) {
        const auto found = chain_.find(path);
        if (found && chain_.inode(*found).entry == file.entry) add_name(path, *found);
    }

    void plan_moves(std::size_t layer) {
        const ChainView::Moves& moves = chain_.moves(layer);
        for (const auto& [path, origin] : moves.origin) {
            const Entry* entry = chain_.names(layer).find(path);
            const auto found = chain_.find(path);
            const bool merges = entry != nullptr && entry->type == EntryType::directory && !entry->opaque && found &&
                                found->entry->type == EntryType::directory;
            if (merges) {
                describe(path, *found);
            } else {
                show_exactly(path);
            }
        }
        for (const std::string& path : moves.links) show_exactly(path);
    }

    // Puts all of what the chain has at `path` into the patch, so that nothing of the stack shines through.
    void show_exactly(const std::string& path) {
        const auto parent = chain_.find(parent_path(path));
        if (!parent || parent->entry->type != EntryType::directory) return;
        const auto found = chain_.find(path);
        if (!found) {
            if (is_in_a_tree(path))
                items_.try_emplace(path, PatchItem{.entry = {.path = path, .type = EntryType::whiteout}});
        } else if (found->entry->type == EntryType::directory) {
            describe(path, *found).entry.opaque = true;
            for (const Found& child : chain_.children(path)) show_exactly(child.entry->path);
        } else {
            add_name(path, *found);
        }
    }

    // If it is in none, nothing can shine through, and the patch may be the only tree that has the directory: the
    // kernel would list the whiteout.
    bool is_in_a_tree(const std::string& path) const {
        const ChainView::Layers& layers = chain_.layers();
        return std::any_of(layers.begin(), layers.end(),
                           [&](const auto& names) { return names->find(path) != nullptr; });
    }

    PatchItem& describe(const std::string& path, const Found& directory) {
        if (path.empty()) return root_;
        Entry entry = *directory.entry;
        entry.implicit = false;
        entry.opaque = false;
        return items_.try_emplace(path, PatchItem{.entry = std::move(entry)}).first->second;
    }

    void add_name(const std::string& path, const Found& found) {
        const Found file = chain_.inode(found);
        auto& group = files_[{file.layer, file.entry->path}];
        group.file = file;
        group.paths.insert(path);
    }

    void name_files() {
        for (const auto& [key, group] : files_) {
            const std::string& first = *group.paths.begin();
            for (const std::string& path : group.paths) {
                PatchItem item{.entry = *group.file.entry};
                item.entry.path = path;
                if (path != first) {
                    item.entry.type = EntryType::hardlink;
                    item.entry.link_target = first;
                } else if (item.entry.type == EntryType::file && item.entry.size > 0) {
                    item.content = PatchItem::Content{.layer = group.file.layer,
                                                      .path = std::string(chain_.tree_path(group.file))};
                }
                items_.insert_or_assign(path, std::move(item));
            }
        }
    }

    // A directory of the patch is what one sees, so those that only hold something must be described as well.
    void add_parents() {
        Paths missing;
        for (const auto& [path, item] : items_) {
            for (std::string_view up = parent_path(path); !up.empty(); up = parent_path(up)) {
                if (!items_.contains(up)) missing.insert(std::string(up));
            }
        }
        for (const std::string& path : missing) {
            const auto found = chain_.find(path);
            IMGBUILD_ASSERT(found.has_value());
            describe(path, *found);
        }
    }

    struct File {
        Found file;
        Paths paths;
    };

    const ChainView& chain_;
    std::map<std::string, PatchItem, PathLess> items_;
    std::map<std::pair<std::size_t, std::string>, File> files_;
    PatchItem root_;  // never in the patch
};

}  // namespace

std::vector<PatchItem> plan_patch(const ChainView& chain) {
    return PatchPlanner(chain).plan();
}

void write_patch(std::span<const PatchItem> plan, std::span<const util::RootedDir> trees, TreeWriter& writer) {
    for (const PatchItem& item : plan) {
        if (!item.content) {
            writer.add(item.entry);
            continue;
        }
        const util::Fd fd = trees[item.content->layer].open_file(item.content->path, O_RDONLY, util::Follow::no);
        writer.add_copy(item.entry, {.fd = fd.get()});
    }
}

}  // namespace imgbuild::layers
