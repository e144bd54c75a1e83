// Which files of a source tree an instruction means: wildcards, links, directories and exclusions resolved, destination
// not yet known. Reads metadata, no contents.
#pragma once

#include "builder/context/source_tree.hpp"
#include "builder/graph.hpp"

#include <string>
#include <vector>

namespace imgbuild::builder {

/// One named source: a file, or a directory whose contents are meant.
struct SelectedRoot {
    /// The last component as it was named, before links were followed: the name under a destination directory.
    std::string name;
    SourceFileInfo self;
    /// For a directory: everything in it, parents before children, paths relative to the tree (not to `self`).
    std::vector<SourceFileInfo> below;
};

struct Selection {
    std::vector<SelectedRoot> roots;
};

/// With `copy.parents` each source is one root, the directory that the copied paths begin at, less what the source does
/// not mean; directories on the way are in `below`. "**" crosses directories there, and links on the way are not
/// followed.
/// Throws Error "source.not-found" for a plain path that is not there (with the reason, if an ignore file is one), and
/// "source.too-many-files" beyond a million names. A wildcard that matches nothing selects nothing.
/// Directories are read on `threads` threads; the result does not depend on how many.
Selection select_files(const SourceTree& tree, const CopyFiles& copy, unsigned threads = 1);

/// The one path that a mount shows, taken as it stands: no wildcards. Throws as select_files().
Selection select_path(const SourceTree& tree, const std::string& path);

}  // namespace imgbuild::builder
