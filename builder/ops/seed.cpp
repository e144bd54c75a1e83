#include "builder/ops/seed.hpp"

#include <imgbuild/error.hpp>

#include "builder/context/chain_tree.hpp"
#include "layers/tree_writer.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <map>

namespace imgbuild::builder {
namespace {

using layers::Entry;
using layers::EntryType;

class Seeder {
public:
    Seeder(const ChainTree& tree, const std::string& into, const Work& work)
        : tree_(tree), writer_(util::RootedDir::open(into)), work_(work) {}

    void copy(const std::string& from, const std::string& to) {
        for (const SourceFileInfo& child : tree_.children(from)) {
            if (work_.stop.stop_requested()) throw Cancelled();
            const std::string path = layers::join_path(to, layers::base_name(child.entry.path));
            add(child, path);
            if (child.entry.type == EntryType::directory) copy(child.entry.path, path);
        }
    }

    void finish() { static_cast<void>(writer_.finish()); }

private:
    void add(const SourceFileInfo& file, const std::string& path) {
        Entry entry = file.entry;
        entry.path = path;
        if (entry.type != EntryType::file) {
            writer_.add(std::move(entry));
            return;
        }
        if (file.link_group) {
            const auto link = links_.try_emplace(*file.link_group, path);
            if (!link.second) {
                entry.type = EntryType::hardlink;
                entry.link_target = link.first->second;
                writer_.add(std::move(entry));
                return;
            }
        }
        const layers::OpenContent content = tree_.open(file);
        writer_.add_copy(std::move(entry), content.extent());
    }

    const ChainTree& tree_;
    layers::TreeWriter writer_;
    const Work& work_;
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> links_;
};

}  // namespace

void seed_directory(const FileSystem& fs, const std::string& source, const std::string& path, LayerForms& forms,
                    const Work& work) {
    const ChainTree tree(forms.files(fs, work));
    const std::string resolved = tree.resolve(source);
    const auto self = tree.find(resolved);
    if (!self || self->entry.type != EntryType::directory) {
        throw Error({.code = "source.not-found",
                     .message = fmt::format("a cache cannot begin with {}: {}", util::quote("/" + source),
                                            self ? "it is no directory" : "it is not there"),
                     .hint = "source= is a directory in what from= names",
                     .where = {}});
    }
    Seeder seeder(tree, path, work);
    seeder.copy(resolved, "");
    seeder.finish();
}

}  // namespace imgbuild::builder
