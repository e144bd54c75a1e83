// What a step changed: the walk of an overlay's upper directory. The cost follows the change, not the image.
#pragma once

#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "layers/chain_view.hpp"
#include "layers/name_index.hpp"
#include "util/rooted_dir.hpp"

namespace imgbuild::layers {

struct ScanOptions {
    /// Nothing in the layer is newer (DESIGN 6); seconds since 1970.
    std::int64_t layer_time = 0;
    /// What the upper directory was mounted on, if known. overlayfs marks directories opaque that hide nothing; with
    /// this, such marks are dropped. It also tells whether the step changed the root directory itself.
    const ChainView* below = nullptr;
    /// Links and fifos that the step gave to users (first) or groups that this user namespace does not have, by path;
    /// all ones: to nobody else than it belongs to.
    std::map<std::string, std::pair<std::uint32_t, std::uint32_t>> given_away;
    std::stop_token stop;
};

struct ScanResult {
    NameIndex names;
    /// Paths of sockets, which no tar can hold and which mean nothing without their process; removed from the tree, and
    /// whited out where something lies below.
    std::vector<std::string> sockets;
};

/// Gives the empty directory `upper` the owner, mode and attributes of the root of `below`. To be called before it is
/// mounted, since the root that a step sees is its upper directory. Throws IoError.
void dress_upper(const util::RootedDir& upper, const ChainView& below);

/// Walks `upper` (an overlay mounted with `userxattr`, now unmounted) and makes it a layer's tree: times are cut to
/// whole seconds and to `layer_time`, in the tree as well, so that later steps see what pulled images will have.
/// overlayfs's private attributes are left out, escaped names are unescaped, file capabilities become revision 2.
/// What lower trees and the sandbox note on inodes that cannot be what they should (tree_marks.hpp) is what the layer
/// gets; device nodes, which a step with more rights than usual can make, are replaced by files with such a note.
/// Attributes that the host's security modules write by themselves (security.selinux, security.ima, security.evm) are
/// left out. Whiteouts have `layer_time`. The root directory is implicit unless its mode, owner or attributes differ
/// from below (0755, root, if `below` says nothing). Throws IoError; Error ("internal.overlay-feature") for
/// user.overlay.metacopy and redirect, which we do not enable.
ScanResult scan_upper(const util::RootedDir& upper, const ScanOptions& options);

}  // namespace imgbuild::layers
