#include "builder/ops/root.hpp"

#include <imgbuild/error.hpp>

#include "layers/copied_root.hpp"
#include "layers/tree_writer.hpp"
#include "util/files.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <algorithm>
#include <set>

namespace imgbuild::builder {
namespace {

using layers::Entry;
using layers::EntryType;

// The kernel stops at 500; the patch and the scaffold need a place too.
constexpr std::size_t kMaxLowers = 490;

// Less than this is what a program meets that is told of a full disk.
constexpr std::uint64_t kNothingLeft = 1U << 20;

}  // namespace

std::string StepRoot::why_it_failed() const {
    struct statvfs disk {};
    if (::statvfs(changes_.tree().c_str(), &disk) != 0) return {};  // a hint is not worth another error
    const std::uint64_t left = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    const bool no_names = disk.f_files != 0 && disk.f_favail == 0;
    if (left >= kNothingLeft && !no_names) return {};
    return fmt::format(
        "the disk of the store is full ({}): `imgbuild prune` makes room, or put the store elsewhere (export "
        "IMGBUILD_ROOT=DIR)",
        no_names ? "no inodes are left" : util::human_size(left) + " left");
}

std::vector<std::string> lower_trees(const FileSystem& fs, const layers::ChainView& view, LayerForms& forms,
                                     const Work& work) {
    if (fs.layers.size() > kMaxLowers) {
        throw Error({.code = "build.too-many-layers",
                     .message = fmt::format("the step stands on {} layers, and at most {} can be stacked",
                                            fs.layers.size(), kMaxLowers),
                     .hint = "join steps, or start a new stage and copy from this one",
                     .where = {}});
    }
    std::vector<std::string> out;
    if (const auto patch = forms.ensure_patch(fs, view, work)) out.push_back(forms.lease().tree_path(*patch));
    // An overlay takes no directory twice, and base images have the same layer twice (the empty one, mostly). Of such
    // layers the topmost hides all that the others have.
    std::set<layers::LayerId> stacked;
    for (auto layer = fs.layers.rbegin(); layer != fs.layers.rend(); ++layer) {
        const layers::LayerId id = forms.ensure_tree(**layer, work);
        if (stacked.insert(id).second) out.push_back(forms.lease().tree_path(id));
    }
    return out;
}

UpperPlace::UpperPlace(const layers::UnfinishedLayer& in, sandbox::RootForm form)
    : upper_(in.tree()), work_(in.work()) {
    if (form != sandbox::RootForm::overlay_in_memory) return;
    memory_ = std::make_unique<sandbox::BoundedTmpfs>(in.work(), sandbox::default_tmpfs_size());
    upper_ = in.work() + "/upper";
    work_ = in.work() + "/work";
    for (const std::string& path : {upper_, work_}) util::make_directories(path);
}

void UpperPlace::dress(const layers::ChainView& view) const {
    layers::dress_upper(util::RootedDir::open(upper_), view);
}

namespace {

class OverlayRoot final : public StepRoot {
public:
    OverlayRoot(const RootRequest& request, sandbox::StepSpec& spec, sandbox::RootForm form)
        : StepRoot(request.forms.lease().begin_layer()), stop_(request.work.stop) {
        const std::vector<Entry> missing = missing_entries(spec, request.view);
        // An overlay needs at least one lower directory, so that of an empty file system is the scaffold.
        if (!missing.empty() || request.fs.layers.empty()) spec.lowers.push_back(request.scaffolds.tree(missing));
        for (std::string& tree : lower_trees(request.fs, request.view, request.forms, request.work)) {
            spec.lowers.push_back(std::move(tree));
        }
        place_ = std::make_unique<UpperPlace>(changes(), form);
        place_->dress(request.view);
        spec.upper = place_->upper();
        spec.work = place_->work();
    }

    layers::ScanResult finish(const layers::ScanOptions& options) override {
        layers::ScanResult out = layers::scan_upper(util::RootedDir::open(place_->upper()), options);
        if (place_->memory() != nullptr) {
            out.names = layers::copy_layer(out.names, util::RootedDir::open(place_->upper()),
                                           util::RootedDir::open(changes().tree()), stop_);
        }
        place_.reset();
        return out;
    }

    std::string why_it_failed() const override {
        if (place_->memory() == nullptr || !place_->memory()->is_full()) return StepRoot::why_it_failed();
        return fmt::format(
            "the step has used up the {} of memory that hold its changes, as the store's file system cannot: put the "
            "store on a disk (export IMGBUILD_ROOT=DIR), or use --snapshotter=copy; `imgbuild doctor` tells more",
            util::human_size(place_->memory()->size()));
    }

private:
    std::stop_token stop_;
    std::unique_ptr<UpperPlace> place_;
};

class CopyRoot final : public StepRoot {
public:
    CopyRoot(const RootRequest& request, sandbox::StepSpec& spec)
        : StepRoot(request.forms.lease().begin_layer()), root_(changes().work() + "/root"), stop_(request.work.stop) {
        util::make_directories(root_);
        const auto root = util::RootedDir::open(root_);
        layers::TreeWriter writer(root);
        layers::write_merged(request.view, request.forms.trees(request.fs, request.work), writer, stop_);
        add_missing(missing_entries(spec, request.view), writer);
        static_cast<void>(writer.finish());
        before_ = layers::CopiedRoot::remember(root, stop_);
        spec.tree = root_;
    }

    layers::ScanResult finish(const layers::ScanOptions& options) override {
        const auto upper = util::RootedDir::open(changes().tree());
        before_.move_changes(util::RootedDir::open(root_), upper, stop_);
        util::remove_all(root_);
        return layers::scan_upper(upper, options);
    }

private:
    std::string root_;
    std::stop_token stop_;
    layers::CopiedRoot before_;
};

class OverlaySnapshotter final : public Snapshotter {
public:
    explicit OverlaySnapshotter(sandbox::RootForm form) : form_(form) {}
    std::unique_ptr<StepRoot> prepare(const RootRequest& request, sandbox::StepSpec& spec) override {
        const sandbox::RootForm form = form_for(form_, request.view);
        if (form == sandbox::RootForm::copy) return std::make_unique<CopyRoot>(request, spec);
        return std::make_unique<OverlayRoot>(request, spec, form);
    }

private:
    sandbox::RootForm form_;
};

class CopySnapshotter final : public Snapshotter {
public:
    std::unique_ptr<StepRoot> prepare(const RootRequest& request, sandbox::StepSpec& spec) override {
        return std::make_unique<CopyRoot>(request, spec);
    }
};

}  // namespace

sandbox::RootForm form_for(sandbox::RootForm form, const layers::ChainView& view) {
    if (form != sandbox::RootForm::overlay_in_memory) return form;
    const auto is_whiteout = [](const Entry& entry) { return entry.type == EntryType::whiteout; };
    const bool removes = std::any_of(view.layers().begin(), view.layers().end(), [&](const auto& names) {
        return std::any_of(names->entries().begin(), names->entries().end(), is_whiteout);
    });
    return removes ? sandbox::RootForm::copy : form;
}

std::unique_ptr<Snapshotter> make_snapshotter(sandbox::RootForm form) {
    if (form == sandbox::RootForm::copy) return std::make_unique<CopySnapshotter>();
    return std::make_unique<OverlaySnapshotter>(form);
}

}  // namespace imgbuild::builder
