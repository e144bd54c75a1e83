// What a stack of layers looks like: the tree that one gets by applying them one after the other, oldest first.
//
// Nothing is merged up front. A lookup asks each layer's index for each component of the path; that is enough for
// COPY's destinations, WORKDIR, USER and the like. Whiteouts, opaque directories, changes of type and directories that
// a layer leaves implicit (what lies below describes them) are honoured, and so is the rare layer that puts files
// "into" a symbolic link of a lower layer: its names are moved to where the link leads, once, when the view is made.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/name_index.hpp"
#include "util/rooted_dir.hpp"

namespace imgbuild::layers {

/// Something that is there. The pointers live as long as the view.
struct Found {
    /// What describes it. A directory's `implicit` says that no layer described it. Never a whiteout.
    const Entry* entry = nullptr;
    /// The layer that `entry` is from; 0 is the oldest.
    std::size_t layer = 0;
};

/// Immutable; threads may share it.
class ChainView {
public:
    using Layers = std::vector<std::shared_ptr<const NameIndex>>;

    /// No layers: scratch.
    ChainView() = default;
    /// Throws CorruptData if a layer goes through more than 40 links of lower layers.
    explicit ChainView(Layers oldest_first);

    std::size_t size() const { return layers_.size(); }
    const Layers& layers() const { return given_; }

    /// Nothing on the way is followed; `path` is clean. The root is always there (0755 and implicit if no layer says
    /// more).
    std::optional<Found> find(std::string_view path) const;
    /// As find(), in the layers older than `layer` alone.
    std::optional<Found> find_below(std::string_view path, std::size_t layer) const;
    /// In path order; empty if it is no directory.
    std::vector<Found> children(std::string_view directory) const;

    struct Resolved {
        /// Clean, without links on the way.
        std::string path;
        /// Nothing if it is not there. Components after the first missing one were taken as they stand.
        std::optional<Found> found;
    };
    /// Follows links inside the root; `follow` says whether the last component is followed as well. `path` may have
    /// "..", ".", and a leading "/". Throws Error ("layers.link-loop") for more than 40 links.
    Resolved resolve(std::string_view path, util::Follow follow) const;

    /// The file that a hard link means, in its layer or below; everything else is itself. Throws CorruptData
    /// ("corrupt.hard-link") if no layer below has it.
    Found inode(const Found& name) const;
    /// Where the contents of `found` lie in the tree of its layer (usually its path).
    std::string_view tree_path(const Found& found) const;

    /// Contents of etc/passwd and etc/group; nothing if those are no files of the chain (an index keeps the contents of
    /// these two names only, so a link there is not followed).
    std::optional<std::string> passwd() const;
    std::optional<std::string> group() const;

    /// Names that were moved because they went through a link of a lower layer.
    struct Moves {
        /// Moved path → the path in the layer's tree.
        std::map<std::string, std::string, PathLess> origin;
        /// The links that were in the way: outermost paths of implicit directories that hide one in their tree.
        std::vector<std::string> links;
    };
    /// For plan_patch(); mostly empty.
    const Moves& moves(std::size_t layer) const { return moves_[layer]; }
    /// The names of a layer as the view takes them.
    const NameIndex& names(std::size_t layer) const { return *layers_[layer]; }

private:
    struct Spot;
    /// How directories are taken that the newest layer leaves implicit: as they stand in its way, or as nothing, where
    /// it is asked what lies in their place.
    enum class Implicit { are_there, say_nothing };

    Resolved resolve_below(std::string_view path, util::Follow follow, std::size_t top,
                           Implicit implicit = Implicit::are_there) const;
    Spot root_spot(std::size_t top, Implicit implicit = Implicit::are_there) const;
    std::optional<Spot> step(const Spot& parent, std::string_view path) const;
    std::optional<Spot> walk(std::string_view path, std::size_t top) const;
    std::optional<std::string> user_file(std::string_view path,
                                         const std::optional<std::string>& (NameIndex::*text)() const) const;

    Layers given_;
    /// As given, except for layers whose names were moved.
    Layers layers_;
    std::vector<Moves> moves_;
};

}  // namespace imgbuild::layers
