// What stacking independent trees gets wrong, put right by one small tree on top.
//
// Trees are unpacked independently of each other, and overlayfs shows of each name the topmost. In four cases that is
// not what applying the layers one after the other gives: directories that a layer leaves implicit (overlayfs shows the
// topmost directory's owner, mode and time), files hard-linked to a file of a lower layer (there is no inode for them),
// names that go through a symbolic link of a lower layer (the implicit directory hides the link), and whiteouts that
// hide nothing (in a directory of one layer alone the kernel lists them as files that do not exist). The patch layer
// holds exactly these, for one chain; it is stacked on top and never packed. The root directory is not in it: the root
// of an overlay shows its upper directory, which whoever mounts makes like ChainView::find("").
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "layers/chain_view.hpp"
#include "layers/tree_writer.hpp"
#include "util/rooted_dir.hpp"

namespace imgbuild::layers {

struct PatchItem {
    Entry entry;
    /// Files with contents: the layer whose tree has them, and the path there.
    struct Content {
        std::size_t layer = 0;
        std::string path;
        friend bool operator==(const Content&, const Content&) = default;
    };
    std::optional<Content> content;

    friend bool operator==(const PatchItem&, const PatchItem&) = default;
};

/// In path order (a hard link's file before it). Empty: the chain needs no patch. Pure.
/// Throws CorruptData ("corrupt.hard-link") for a visible hard link to a file that no lower layer has.
std::vector<PatchItem> plan_patch(const ChainView& chain);

/// Carries the plan out. `trees` are those of the chain's layers, oldest first.
void write_patch(std::span<const PatchItem> plan, std::span<const util::RootedDir> trees, TreeWriter& writer);

}  // namespace imgbuild::layers
