#include "builder/ops/root.hpp"

#include <imgbuild/error.hpp>

#include "layers/diff.hpp"
#include "layers/tree_writer.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <set>

namespace imgbuild::builder {
namespace {

using layers::Entry;
using layers::EntryType;

// The kernel stops at 500; the patch and the scaffold need a place too.
constexpr std::size_t kMaxLowers = 490;

struct MissingPoint {
    std::string path;
    EntryType type;
};

std::vector<MissingPoint> missing_points(const sandbox::StepSpec& spec, const layers::ChainView& view) {
    std::vector<sandbox::MountPoint> wanted = sandbox::required_mount_points(spec);
    wanted.push_back({.path = spec.workdir, .kind = sandbox::NodeKind::directory});
    std::vector<MissingPoint> out;
    std::set<std::string> seen;
    for (const sandbox::MountPoint& point : wanted) {
        const auto resolved = view.resolve(point.path, util::Follow::yes);
        const bool there = resolved.found.has_value() || resolved.path.empty();
        if (there || !seen.insert(resolved.path).second) continue;
        const bool is_file = point.kind == sandbox::NodeKind::file;
        out.push_back({.path = resolved.path, .type = is_file ? EntryType::file : EntryType::directory});
    }
    return out;
}

// Directories on the way exist below in most cases, and an overlay shows the topmost one's metadata.
void add_parents(const std::string& path, const layers::ChainView& view, layers::TreeWriter& writer) {
    if (path.empty()) return;
    const std::string parent(layers::parent_path(path));
    add_parents(parent, view, writer);
    if (parent.empty() || writer.find(parent) != nullptr) return;
    Entry entry{.path = parent, .type = EntryType::directory, .mode = layers::kImplicitMode};
    if (const auto found = view.find(parent)) {
        entry = *found->entry;
        entry.path = parent;
        entry.opaque = false;
        entry.implicit = false;
    }
    writer.add(std::move(entry));
}

void write_scaffold(const std::vector<MissingPoint>& points, const layers::ChainView& view, const std::string& tree) {
    layers::TreeWriter writer(util::RootedDir::open(tree));
    for (const MissingPoint& point : points) {
        add_parents(point.path, view, writer);
        Entry entry{.path = point.path, .type = point.type, .mode = point.type == EntryType::file ? 0644U : 0755U};
        if (point.type == EntryType::file) {
            util::MemorySource nothing("");
            writer.add_file(std::move(entry), nothing);
        } else {
            writer.add(std::move(entry));
        }
    }
    static_cast<void>(writer.finish());
}

}  // namespace

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

StepRoot::StepRoot(const FileSystem& fs, const layers::ChainView& view, sandbox::StepSpec& spec, LayerForms& forms,
                   const Work& work)
    : changes_(forms.lease().begin_layer()) {
    const std::vector<MissingPoint> missing = missing_points(spec, view);
    // An overlay needs at least one lower directory, so that of an empty file system is the scaffold.
    if (!missing.empty() || fs.layers.empty()) {
        scaffold_ = forms.lease().begin_layer();
        write_scaffold(missing, view, scaffold_->tree());
        spec.lowers.push_back(scaffold_->tree());
    }
    for (std::string& tree : lower_trees(fs, view, forms, work)) spec.lowers.push_back(std::move(tree));
    spec.upper = changes_.tree();
    spec.work = changes_.work();
    // The step's "/" is the upper directory itself.
    layers::dress_upper(util::RootedDir::open(spec.upper), view);
}

}  // namespace imgbuild::builder
