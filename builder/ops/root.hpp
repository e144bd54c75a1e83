// A root file system that a command can run in: the layers of a file system as an overlay's lower directories, a place
// for the changes, and the mount points that the image lacks.
#pragma once

#include "builder/layer_forms.hpp"
#include "builder/sandbox/step_spec.hpp"

#include <optional>
#include <string>
#include <vector>

namespace imgbuild::builder {

/// Fills `spec.lowers`, `spec.upper` and `spec.work`. The rest of `spec` must be complete, since it says which mount
/// points are needed. Missing ones (and a missing working directory) are made in a tree of their own below the changes,
/// so that they never appear in the layer.
class StepRoot {
public:
    /// Throws Error ("build.too-many-layers") above what an overlay can stack.
    StepRoot(const FileSystem& fs, const layers::ChainView& view, sandbox::StepSpec& spec, LayerForms& forms,
             const Work& work);

    /// Takes the changes; the caller publishes or drops them.
    layers::UnfinishedLayer take_changes() { return std::move(changes_); }
    std::string upper() const { return changes_.tree(); }

private:
    layers::UnfinishedLayer changes_;
    std::optional<layers::UnfinishedLayer> scaffold_;
};

/// The trees of a file system and the patch on top of them, newest first, as an overlay takes them. Empty for an empty
/// file system. Throws Error ("build.too-many-layers").
std::vector<std::string> lower_trees(const FileSystem& fs, const layers::ChainView& view, LayerForms& forms,
                                     const Work& work);

}  // namespace imgbuild::builder
