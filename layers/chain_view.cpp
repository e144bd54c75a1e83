#include "layers/chain_view.hpp"

#include <imgbuild/error.hpp>

#include "layers/chain_mover.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <set>
#include <utility>

namespace imgbuild::layers {
namespace {

constexpr int kMaxLinks = 40;

const Entry& undescribed_root() {
    static const Entry root{.path = "", .type = EntryType::directory, .mode = kImplicitMode, .implicit = true};
    return root;
}

}  // namespace

// What one path is, seen from layer `top` (not included) downwards.
struct ChainView::Spot {
    Found found;
    std::size_t top = 0;
    /// A directory: the oldest layer that has contents of it.
    std::size_t floor = 0;
    /// Of the newest layer.
    Implicit implicit = Implicit::are_there;

    bool is_directory() const { return found.entry->type == EntryType::directory; }
};

ChainView::ChainView(Layers oldest_first) : given_(std::move(oldest_first)), layers_(given_), moves_(given_.size()) {
    for (std::size_t layer = 1; layer < layers_.size(); ++layer) {
        // From now on everything looks at layers below, whose names are final; and where a link of theirs leads, at
        // what this layer itself puts there.
        const auto link_of = [&](const std::string& path) -> std::optional<std::string> {
            const auto found = find_below(path, layer);
            // A link can have several names, too.
            if (!found || inode(*found).entry->type != EntryType::symlink) return std::nullopt;
            return resolve_below(path, util::Follow::yes, layer + 1, Implicit::say_nothing).path;
        };
        if (auto moved = move_names(*layers_[layer], link_of)) {
            layers_[layer] = std::make_shared<const NameIndex>(std::move(moved->names));
            moves_[layer] = {.origin = std::move(moved->origin), .links = std::move(moved->links)};
        }
    }
}

ChainView::Spot ChainView::root_spot(std::size_t top, Implicit implicit) const {
    const Spot everything{.found = {.entry = &undescribed_root()}, .top = top, .floor = 0, .implicit = implicit};
    Spot out = step(everything, "").value_or(everything);
    // A layer need not name the root to have something in it; so only an opaque mark ends the search there.
    out.floor = 0;
    for (std::size_t layer = top; layer > 0 && out.floor == 0; --layer) {
        const Entry* root = layers_[layer - 1]->find("");
        if (root != nullptr && root->opaque) out.floor = layer - 1;
    }
    return out;
}

// Newest layer first: the first that has the name decides what it is; a directory goes on to gather from older ones,
// down to where one hides the rest. Who describes a directory is a second question: the newest layer that does not
// leave it implicit, even if that lies under an opaque mark, which is about the contents only.
std::optional<ChainView::Spot> ChainView::step(const Spot& parent, std::string_view path) const {
    std::optional<Spot> out;
    bool open = true;  // do older layers still add contents?
    for (std::size_t i = parent.top; i > parent.floor; --i) {
        const std::size_t layer = i - 1;
        const Entry* entry = layers_[layer]->find(path);
        if (entry == nullptr) continue;
        if (entry->type == EntryType::whiteout) break;
        if (entry->implicit && i == parent.top && parent.implicit == Implicit::say_nothing) {
            open = !entry->opaque;
            continue;
        }
        const Spot here{.found = {.entry = entry, .layer = layer},
                        .top = parent.top,
                        .floor = open ? layer : parent.top - 1,
                        .implicit = parent.implicit};
        if (!out) out = here;
        if (entry->type != EntryType::directory) break;
        if (out->found.entry->implicit && !entry->implicit) out->found = {.entry = entry, .layer = layer};
        if (open) out->floor = layer;
        open = open && !entry->opaque;
        if (!open && !out->found.entry->implicit) break;
    }
    return out;
}

std::optional<ChainView::Spot> ChainView::walk(std::string_view path, std::size_t top) const {
    std::optional<Spot> spot = root_spot(top);
    std::size_t end = 0;
    while (spot && end < path.size()) {
        if (!spot->is_directory()) return std::nullopt;
        end = std::min(path.find('/', end + 1), path.size());
        spot = step(*spot, path.substr(0, end));
    }
    return spot;
}

std::optional<Found> ChainView::find_below(std::string_view path, std::size_t top) const {
    const auto spot = walk(path, top);
    if (!spot) return std::nullopt;
    return spot->found;
}

std::optional<Found> ChainView::find(std::string_view path) const {
    return find_below(path, layers_.size());
}

std::vector<Found> ChainView::children(std::string_view directory) const {
    const auto spot = walk(directory, layers_.size());
    if (!spot || !spot->is_directory()) return {};
    std::set<std::string_view> paths;
    for (std::size_t layer = spot->floor; layer < layers_.size(); ++layer) {
        for (const Entry* child : layers_[layer]->children(directory)) paths.insert(child->path);
    }
    std::vector<Found> out;
    for (const std::string_view path : paths) {
        if (const auto child = step(*spot, path)) out.push_back(child->found);
    }
    return out;
}

ChainView::Resolved ChainView::resolve(std::string_view path, util::Follow follow) const {
    return resolve_below(path, follow, layers_.size());
}

ChainView::Resolved ChainView::resolve_below(std::string_view path, util::Follow follow, std::size_t top,
                                             Implicit implicit) const {
    std::vector<std::string> rest;  // the next component is the last element
    const auto push = [&rest](std::string_view text) {
        const auto components = util::path_components(text);
        for (auto it = components.rbegin(); it != components.rend(); ++it) rest.emplace_back(*it);
    };
    push(path);
    const Spot root = root_spot(top, implicit);
    // The directories on the way; nothing stands for what is not there.
    std::vector<std::optional<Spot>> spots{root};
    std::string done;
    int links = 0;
    while (!rest.empty()) {
        const std::string component = std::move(rest.back());
        rest.pop_back();
        if (component == "..") {
            if (!done.empty()) {
                done = parent_path(done);
                spots.pop_back();
            }
            continue;
        }
        std::string next = join_path(done, component);
        const std::optional<Spot>& here = spots.back();
        std::optional<Spot> spot = here && here->is_directory() ? step(*here, next) : std::nullopt;
        const Entry* node = spot ? inode(spot->found).entry : nullptr;
        const bool link = node != nullptr && node->type == EntryType::symlink;
        if (!link || (rest.empty() && follow == util::Follow::no)) {
            done = std::move(next);
            spots.push_back(spot);
            continue;
        }
        if (++links > kMaxLinks) {
            throw Error({.code = "layers.link-loop",
                         .message = fmt::format("too many symbolic links on the way to {}", util::quote(path)),
                         .hint = {},
                         .where = {}});
        }
        const std::string& target = node->link_target;
        if (target.starts_with('/')) {
            done.clear();
            spots.resize(1);
        }
        push(target);
    }
    const std::optional<Spot>& last = spots.back();
    return {.path = std::move(done), .found = last ? std::optional(last->found) : std::nullopt};
}

Found ChainView::inode(const Found& name) const {
    Found at = name;
    while (at.entry->type == EntryType::hardlink) {
        if (!at.entry->external) return {.entry = layers_[at.layer]->find(at.entry->link_target), .layer = at.layer};
        // Each turn looks only at older layers than the one before.
        const auto target = resolve_below(at.entry->link_target, util::Follow::no, at.layer);
        if (!target.found || target.found->entry->type == EntryType::directory) {
            throw CorruptData(
                {.code = "corrupt.hard-link",
                 .message = fmt::format("{} is a hard link to {}, which is no file of a lower layer",
                                        util::quote(name.entry->path), util::quote(at.entry->link_target)),
                 .hint = {},
                 .where = {}});
        }
        at = *target.found;
    }
    return at;
}

std::string_view ChainView::tree_path(const Found& found) const {
    const auto& origin = moves_[found.layer].origin;
    const auto moved = origin.find(found.entry->path);
    return moved == origin.end() ? std::string_view(found.entry->path) : std::string_view(moved->second);
}

std::optional<std::string> ChainView::user_file(std::string_view path,
                                                const std::optional<std::string>& (NameIndex::*text)() const) const {
    const auto found = find(path);
    if (!found || found->entry->path != tree_path(*found)) return std::nullopt;
    return (given_[found->layer].get()->*text)();
}

std::optional<std::string> ChainView::passwd() const {
    return layers_.empty() ? std::nullopt : user_file("etc/passwd", &NameIndex::passwd);
}

std::optional<std::string> ChainView::group() const {
    return layers_.empty() ? std::nullopt : user_file("etc/group", &NameIndex::group);
}

}  // namespace imgbuild::layers
