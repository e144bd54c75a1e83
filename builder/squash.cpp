#include "builder/squash.hpp"

#include "builder/context/chain_tree.hpp"
#include "layers/tree_writer.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <map>
#include <set>

namespace imgbuild::builder {
namespace {

using layers::ChainView;
using layers::Entry;
using layers::EntryType;
using layers::Found;

// Compares what is there in the end with what lies below, at the names that the layers speak of. So it does not matter
// by which of a layer's means (whiteouts, opaque directories, changes of type) a name came or went.
class Joiner {
public:
    Joiner(const ChainView& whole, const ChainView& below, const std::vector<util::RootedDir>& trees,
           layers::TreeWriter& writer, std::stop_token stop)
        : whole_(whole), below_(below), trees_(trees), writer_(writer), stop_(std::move(stop)) {}

    void join() {
        for (std::size_t i = below_.size(); i < whole_.size(); ++i) {
            for (const Entry& entry : whole_.names(i).entries()) touched_.insert(entry.path);
        }
        std::string gone;
        for (const std::string& path : touched_) {
            if (stop_.stop_requested()) throw Cancelled();
            if (!gone.empty() && layers::is_inside(path, gone)) continue;
            const auto found = whole_.find(path);
            if (!found) {
                gone = path;
                hide(path);
            } else {
                put(path, *found);
                // Names that a directory had which is no directory any more went with it, and its name may lead
                // elsewhere.
                if (found->entry->type != EntryType::directory) gone = path;
            }
        }
    }

private:
    void hide(const std::string& path) {
        if (below_.find(path)) writer_.add({.path = path, .type = EntryType::whiteout});
    }

    void put(const std::string& path, const Found& found) {
        if (found.entry->type == EntryType::directory) {
            put_directory(path, found);
        } else if (found.layer >= below_.size()) {
            put_other(path, found);
        }
    }

    void put_directory(const std::string& path, const Found& found) {
        Entry entry = *found.entry;
        entry.path = path;
        entry.opaque = false;
        // Described below, and only passed through here.
        entry.implicit = found.layer < below_.size() || found.entry->implicit;
        entry.overridden = false;
        if (!entry.implicit) writer_.add(std::move(entry));
        for (const Found& child : below_.children(path)) {
            // Names that a layer speaks of are looked at by themselves.
            const std::string& name = child.entry->path;
            if (!touched_.contains(name) && !whole_.find(name)) hide(name);
        }
    }

    void put_other(const std::string& path, const Found& found) {
        const Found inode = whole_.inode(found);
        Entry entry = *inode.entry;
        entry.path = path;
        entry.overridden = false;
        const bool is_below = inode.layer < below_.size();
        const auto first = is_below ? inode.entry->path : names_.try_emplace(inode.entry, path).first->second;
        if (is_below || first != path) {
            entry.type = EntryType::hardlink;
            entry.link_target = first;
            writer_.add(std::move(entry));
            return;
        }
        if (entry.type != EntryType::file) {
            writer_.add(std::move(entry));
            return;
        }
        const util::Fd fd =
            trees_.at(inode.layer).open_file(whole_.tree_path(inode), O_RDONLY | O_NONBLOCK, util::Follow::no);
        writer_.add_copy(std::move(entry), {.fd = fd.get()});
    }

    const ChainView& whole_;
    const ChainView& below_;
    const std::vector<util::RootedDir>& trees_;
    layers::TreeWriter& writer_;
    std::stop_token stop_;
    std::set<std::string, layers::PathLess> touched_;
    /// First name of each file of the joined layers.
    std::map<const Entry*, std::string> names_;
};

layers::KeyRecord squash_key(const FileSystem& below, const FileSystem& fs) {
    const auto list = [](auto begin, auto end) {
        std::string out;
        for (auto layer = begin; layer != end; ++layer) {
            out += fmt::format("{}\"{}\"", out.empty() ? "" : ",", (*layer)->identity.text());
        }
        return out;
    };
    const auto first = fs.layers.begin() + static_cast<std::ptrdiff_t>(below.layers.size());
    const std::string ingredients =
        fmt::format(R"({{"base":[{}],"layers":[{}],"op":"squash","v":2}})",
                    list(below.layers.begin(), below.layers.end()), list(first, fs.layers.end()));
    return {.key = util::Sha256::of(ingredients), .kind = "squash", .slot = "", .ingredients = ingredients};
}

layers::LayerId make_layer(const FileSystem& below, const FileSystem& fs, const layers::KeyRecord& key,
                           LayerForms& forms, const Work& work) {
    layers::Lease& lease = forms.lease();
    if (const auto id = lease.find_layer(key.key)) return *id;
    const auto claim = lease.claim(key.key, work.stop);
    if (const auto id = lease.find_layer(key.key)) return *id;
    const ChainView whole = forms.view(fs, work);
    const ChainView below_view = forms.view(below, work);
    const std::vector<util::RootedDir> trees = forms.trees(fs, work);
    layers::UnfinishedLayer unfinished = lease.begin_layer();
    layers::TreeWriter writer(util::RootedDir::open(unfinished.tree()), {.implicit_mtime = kEarliestLayerTime});
    Joiner(whole, below_view, trees, writer, work.stop).join();
    return lease.publish(std::move(unfinished), writer.finish().serialize(), {}, key);
}

}  // namespace

FileSystem squash(const FileSystem& fs, Squash which, LayerForms& forms, const Work& work) {
    if (which == Squash::no) return fs;
    FileSystem below = fs;
    const std::size_t kept = which == Squash::all ? 0 : fs.base_layers;
    if (fs.layers.size() < kept + 2) return fs;
    below.layers.resize(kept);
    below.base_layers = kept;
    const layers::KeyRecord key = squash_key(below, fs);
    auto layer = std::make_shared<Layer>(key.key);
    layer->id = make_layer(below, fs, key, forms, work);
    return below.with(std::move(layer));
}

void squash_history(oci::ImageConfig& config, std::size_t first) {
    std::size_t layer = 0;
    oci::HistoryEntry* last = nullptr;
    for (oci::HistoryEntry& entry : config.history) {
        if (entry.empty_layer || layer++ < first) continue;
        entry.empty_layer = true;
        last = &entry;
    }
    if (last != nullptr) last->empty_layer = false;
}

}  // namespace imgbuild::builder
