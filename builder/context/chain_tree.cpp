#include "builder/context/chain_tree.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::builder {

using layers::EntryType;
using util::Follow;

ChainTree::ChainTree(layers::ChainFiles files, Times times, std::shared_ptr<const void> owner)
    : files_(std::move(files)), times_(times), owner_(std::move(owner)) {}

SourceFileInfo ChainTree::describe(const layers::Found& found) const {
    // All names of a file lead to one inode entry; its address tells the group, and only equality is ever asked.
    const layers::Found inode = files_.view.inode(found);
    SourceFileInfo out{.entry = *inode.entry, .link_group = {}};
    out.entry.path = found.entry->path;
    if (inode.entry->type != EntryType::directory) out.link_group = {0, reinterpret_cast<std::uintptr_t>(inode.entry)};
    out.entry.opaque = false;
    out.entry.implicit = false;
    out.entry.overridden = false;
    return out;
}

std::optional<SourceFileInfo> ChainTree::find(std::string_view path) const {
    if (path.empty() && files_.view.size() == 0) {
        SourceFileInfo root;
        root.entry.type = EntryType::directory;
        root.entry.mode = layers::kImplicitMode;
        return root;
    }
    const auto found = files_.view.find(path);
    if (!found) return std::nullopt;
    return describe(*found);
}

std::string ChainTree::resolve(std::string_view path) const {
    return files_.view.resolve(path, Follow::yes).path;
}

std::vector<SourceFileInfo> ChainTree::children(std::string_view directory) const {
    std::vector<SourceFileInfo> out;
    for (const layers::Found& found : files_.view.children(directory)) out.push_back(describe(found));
    return out;
}

layers::OpenContent ChainTree::open(const SourceFileInfo& file) const {
    const auto name = files_.view.find(file.entry.path);
    if (!name) throw IoError("open", file.entry.path, ENOENT);
    const layers::Found inode = files_.view.inode(*name);
    return files_.of_layers.at(inode.layer).open(files_.view.tree_path(inode));
}

std::string ChainTree::why_absent(std::string_view) const {
    return {};
}

}  // namespace imgbuild::builder
