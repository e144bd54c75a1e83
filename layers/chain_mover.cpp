#include "layers/chain_mover.hpp"

#include <utility>

namespace imgbuild::layers {
namespace {

// What the layer itself says about a directory around `path`: nothing of what lower layers have in it is there.
bool is_hidden(const NameIndex& names, std::string_view path) {
    while (!path.empty()) {
        path = parent_path(path);
        const Entry* around = names.find(path);
        if (around != nullptr && around->opaque) return true;
    }
    return false;
}

// Where a link of the lower layers leads that is in the way at `path`.
std::optional<std::string> link_below(const NameIndex& names, const LinkOf& link_of, const std::string& path) {
    return is_hidden(names, path) ? std::nullopt : link_of(path);
}

class Mover {
public:
    Mover(const NameIndex& names, const LinkOf& link_of) : names_(names), link_of_(link_of) {}

    MovedNames move() {
        find_places();
        // First what stays, then what is moved: the layer's own word for a path counts more.
        for (const Entry& entry : names_.entries()) {
            if (places_.at(entry.path) == entry.path) put(entry, entry.path);
        }
        for (const Entry& entry : names_.entries()) {
            const std::string& place = places_.at(entry.path);
            if (place != entry.path) put_moved(entry, place);
        }
        return finish();
    }

private:
    void put_moved(const Entry& entry, const std::string& place) {
        const auto known = entries_.find(place);
        // Whiteouts speak of lower layers only.
        const bool was_deleted = known != entries_.end() && known->second.type == EntryType::whiteout;
        if (known != entries_.end() && !was_deleted) {
            // Whatever else is said of a directory, what lower layers have in it is hidden.
            const bool is_directory = known->second.type == EntryType::directory;
            known->second.opaque = known->second.opaque || (is_directory && entry.opaque);
            return;
        }
        if (was_deleted) entries_.erase(known);
        make_parents(place);
        put(entry, place);
        origin_.emplace(place, entry.path);
        if (!was_deleted || entry.type != EntryType::directory) return;
        entries_.at(place).implicit = false;
        entries_.at(place).opaque = true;
    }

    // Path order: the place of the directory around an entry is known before the entry's.
    void find_places() {
        for (const Entry& entry : names_.entries()) {
            if (entry.path.empty()) {
                places_.emplace("", "");
                continue;
            }
            const auto parent = places_.find(parent_path(entry.path));
            std::string place = parent == places_.end() ? entry.path : join_path(parent->second, base_name(entry.path));
            if (entry.implicit) {
                if (auto target = link_below(names_, link_of_, place)) {
                    if (place == entry.path) links_.push_back(entry.path);
                    place = std::move(*target);
                }
            }
            places_.emplace(entry.path, std::move(place));
        }
    }

    void put(const Entry& entry, const std::string& place) {
        Entry moved = entry;
        moved.path = place;
        if (moved.type == EntryType::hardlink && !moved.external) moved.link_target = places_.at(moved.link_target);
        entries_.emplace(place, std::move(moved));
    }

    void make_parents(const std::string& path) {
        if (path.empty()) return;
        const std::string parent(parent_path(path));
        const auto found = entries_.find(parent);
        if (found != entries_.end() && found->second.type == EntryType::directory) return;
        make_parents(parent);
        Entry directory{.path = parent, .type = EntryType::directory, .mode = kImplicitMode, .implicit = true};
        if (found != entries_.end()) {  // deleted or replaced by this layer, and needed again
            directory.implicit = false;
            directory.opaque = true;
        }
        entries_.insert_or_assign(parent, std::move(directory));
    }

    // A hard link whose file gave way to a name of the layer has nothing to link to and goes with it.
    MovedNames finish() {
        std::vector<Entry> out;
        out.reserve(entries_.size());
        for (auto& [path, entry] : entries_) {
            if (entry.type == EntryType::hardlink && !entry.external) {
                const auto file = entries_.find(entry.link_target);
                if (file == entries_.end() || file->second.type == EntryType::directory) continue;
            }
            out.push_back(entry);
        }
        return {.names = NameIndex(std::move(out), names_.passwd(), names_.group()),
                .origin = std::move(origin_),
                .links = std::move(links_)};
    }

    const NameIndex& names_;
    const LinkOf& link_of_;
    std::map<std::string, std::string, PathLess> places_;
    std::map<std::string, Entry, PathLess> entries_;
    std::map<std::string, std::string, PathLess> origin_;
    std::vector<std::string> links_;
};

}  // namespace

std::optional<MovedNames> move_names(const NameIndex& names, const LinkOf& link_of) {
    for (const std::size_t i : names.implicit()) {
        const std::string& path = names.entries()[i].path;
        if (!path.empty() && link_below(names, link_of, path)) return Mover(names, link_of).move();
    }
    return std::nullopt;
}

}  // namespace imgbuild::layers
