// A root file system for a step where no overlay can be had: a copy of everything that a chain shows. What the step
// changed is found by comparing, and brought into the form in which an overlay would have left it, so that the layer
// has the same digest (scan_upper() makes both of them layers).
//
//     write_merged(view, trees, writer);              // into an empty directory; then whatever else the root needs
//     writer.finish();
//     const CopiedRoot before = CopiedRoot::remember(root);
//     …                                               // the step
//     before.move_changes(root, upper, stop);         // from the root into an empty directory beside it
//     scan_upper(upper, …);
//
// Every name of a hard-linked file gets a file of its own: an overlay shows changes to one name under that name alone,
// too. One difference is left: an overlay takes a file that was opened for writing into the layer even if nothing was
// written, and a copy cannot know that.
#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "layers/chain_view.hpp"
#include "layers/tree_writer.hpp"
#include "util/rooted_dir.hpp"

namespace imgbuild::layers {

/// Adds all that `view` shows. `trees` are those of its layers, oldest first. Contents are shared with the trees where
/// the file system can (reflink), otherwise copied: the cost follows the image. Throws IoError, CorruptData, Cancelled.
void write_merged(const ChainView& view, std::span<const util::RootedDir> trees, TreeWriter& writer,
                  const std::stop_token& stop);

/// A layer once more, in another empty directory, which may lie on another file system: metadata from `names`, contents
/// from `from`. The result differs from `names` only in what the new inodes can take (Entry::overridden).
NameIndex copy_layer(const NameIndex& names, const util::RootedDir& from, const util::RootedDir& to,
                     const std::stop_token& stop);

/// What a directory tree was like at some moment. Immutable.
class CopiedRoot {
public:
    /// Looks at everything in `root`. Returns when a later change of any file is sure to be seen, which is a tick of
    /// the kernel's clock after its last one.
    static CopiedRoot remember(const util::RootedDir& root, const std::stop_token& stop);

    /// Moves what has changed since then to `upper`, an empty directory of the same file system, in overlay form: new
    /// and changed files, the directories on the way to them, whiteouts, opaque marks. Nobody may be at work in `root`;
    /// it is good for nothing afterwards.
    void move_changes(const util::RootedDir& root, const util::RootedDir& upper, const std::stop_token& stop) const;

private:
    /// Tells an inode from all others, and from itself before any change.
    struct Stamp {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        /// Nanoseconds since 1970. The time of birth tells a file from a later one that got its number; 0 where the
        /// file system has none.
        std::int64_t born = 0;
        std::int64_t changed = 0;
        std::uint32_t mode = 0;
        std::uint64_t size = 0;

        bool is_same_inode(const Stamp& other) const;
        friend bool operator==(const Stamp&, const Stamp&) = default;
    };
    class Recorder;
    class Mover;

    /// By path, a directory directly before what is in it.
    std::map<std::string, Stamp, PathLess> stamps_;
};

}  // namespace imgbuild::layers
