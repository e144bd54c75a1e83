// The mount points that an image lacks. They are made in a tree of their own below a step's changes, so that they never
// appear in the layer.
#pragma once

#include "builder/sandbox/step_spec.hpp"
#include "layers/chain_view.hpp"
#include "layers/store.hpp"
#include "layers/tree_writer.hpp"

#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace imgbuild::builder {

/// What a step needs and `view` does not have, parents first, with the directories on the way as `view` has them, since
/// an overlay shows the topmost one's metadata. Files are empty. `spec` must be complete but for its root. Throws
/// UsageError ("usage.bad-mount-target") for a way through what is no directory.
std::vector<layers::Entry> missing_entries(const sandbox::StepSpec& spec, const layers::ChainView& view);

/// Adds what `writer` does not have yet.
void add_missing(const std::vector<layers::Entry>& entries, layers::TreeWriter& writer);

/// The trees of one build: most of its steps lack the same. Threads: any.
class Scaffolds {
public:
    /// `lease` must outlive it.
    explicit Scaffolds(layers::Lease& lease) : lease_(lease) {}

    /// Path of a tree with these entries, which is there as long as this is.
    std::string tree(const std::vector<layers::Entry>& entries);

private:
    layers::Lease& lease_;
    std::mutex mutex_;
    std::map<std::string, layers::UnfinishedLayer> made_;
};

}  // namespace imgbuild::builder
