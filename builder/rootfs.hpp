// A whole file system as plain files, for those who want no image of it: `-o type=tar` and `-o type=local`. Layers are
// carried out: what one of them hides is not there.
#pragma once

#include "builder/context/source_tree.hpp"
#include "util/bytes.hpp"

#include <stop_token>
#include <string>

namespace imgbuild::builder {

/// One tar with everything in `tree`, in path order, hard links as such. `folder`: everything is below this directory
/// ("linux_amd64"); empty for none.
void write_rootfs_tar(const SourceTree& tree, const std::string& folder, util::Sink& out, std::stop_token stop);

/// Everything in `tree` below `directory`, which may be there; what is there stays unless it has the same name. Files
/// belong to whoever builds; modes, times, attributes, links and devices are as in the image, or it is an IoError that
/// names what was lost. Nothing is seen in `directory` before all of it is written (to a directory beside it, or in it
/// if it is there).
/// Throws UsageError ("usage.bad-output") if a directory would have to give way to a file or the reverse.
void write_rootfs_directory(const SourceTree& tree, const std::string& directory, std::stop_token stop);

}  // namespace imgbuild::builder
