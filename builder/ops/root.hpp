// A root file system that a command can run in: what the layers of a file system show, a place for the changes, and the
// mount points that the image lacks. There are two kinds (DESIGN 5): an overlay, whose upper directory has the changes,
// and a copy, which is compared with what it was before.
//
//     const auto root = make_snapshotter(sandbox.root_form())->prepare({fs, view, forms, work}, spec);
//     sandbox.run(spec, …);
//     const layers::ScanResult changes = root->finish({.layer_time = time, .below = &view});
//     lease.publish(root->take_changes(), changes.names.serialize(), …);
#pragma once

#include "builder/layer_forms.hpp"
#include "builder/ops/scaffold.hpp"
#include "builder/sandbox/bounded_tmpfs.hpp"
#include "builder/sandbox/step_spec.hpp"
#include "layers/diff.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace imgbuild::builder {

/// The root of one step. Mount points that the image lacks (and a missing working directory) are made such that they
/// never appear in the layer, so all of a StepSpec but its root must be complete before.
class StepRoot {
public:
    virtual ~StepRoot() = default;

    /// After the step: makes a layer of what it has changed. Call once.
    virtual layers::ScanResult finish(const layers::ScanOptions& options) = 0;
    /// What about this root, with all that the step left in it, may be the reason that a step failed; empty if nothing
    /// is.
    virtual std::string why_it_failed() const;
    /// Takes the changes; the caller publishes or drops them.
    layers::UnfinishedLayer take_changes() { return std::move(changes_); }

protected:
    explicit StepRoot(layers::UnfinishedLayer changes) : changes_(std::move(changes)) {}
    layers::UnfinishedLayer& changes() { return changes_; }

private:
    layers::UnfinishedLayer changes_;
};

/// What a root is made of. Everything must outlive the root.
struct RootRequest {
    const FileSystem& fs;
    /// Of `fs`.
    const layers::ChainView& view;
    LayerForms& forms;
    Scaffolds& scaffolds;
    const Work& work;
};

/// Makes roots of one kind. Whatever the kind, the same step leaves the same layer.
class Snapshotter {
public:
    virtual ~Snapshotter() = default;
    /// Fills the members of `spec` that say what its root is. Throws Error ("build.too-many-layers") above what can be
    /// stacked.
    virtual std::unique_ptr<StepRoot> prepare(const RootRequest& request, sandbox::StepSpec& spec) = 0;
};

std::unique_ptr<Snapshotter> make_snapshotter(sandbox::RootForm form);

/// What the layers of `view` can be given as, if the machine offers `form`: another one where the store lies on an
/// overlay and a layer removes something. Whiteouts are files with an attribute there, and the kernel takes those for
/// contents of a directory that a step removes (Linux 6.18, seen).
sandbox::RootForm form_for(sandbox::RootForm form, const layers::ChainView& view);

/// Where an overlay's changes go: a directory in the store, or one in memory that is made inside it.
class UpperPlace {
public:
    /// `in` must outlive the place, whose end ends what is in memory.
    UpperPlace(const layers::UnfinishedLayer& in, sandbox::RootForm form);
    /// Gives the upper directory, which shows as the overlay's root, the looks of the root of `view`.
    void dress(const layers::ChainView& view) const;

    const std::string& upper() const { return upper_; }
    const std::string& work() const { return work_; }
    /// Nothing if it is in the store.
    const sandbox::BoundedTmpfs* memory() const { return memory_.get(); }

private:
    std::string upper_;
    std::string work_;
    std::unique_ptr<sandbox::BoundedTmpfs> memory_;
};

/// The trees of a file system and the patch on top of them, newest first, as an overlay takes them. Empty for an empty
/// file system. Throws Error ("build.too-many-layers").
std::vector<std::string> lower_trees(const FileSystem& fs, const layers::ChainView& view, LayerForms& forms,
                                     const Work& work);

}  // namespace imgbuild::builder
