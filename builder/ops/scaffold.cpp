#include "builder/ops/scaffold.hpp"

#include <imgbuild/error.hpp>

#include "util/bytes.hpp"
#include "util/rooted_dir.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <set>
#include <utility>

namespace imgbuild::builder {
namespace {

using layers::Entry;
using layers::EntryType;

class Missing {
public:
    explicit Missing(const layers::ChainView& view) : view_(view) {}

    void add_point(const std::string& path, sandbox::NodeKind kind) {
        const auto resolved = view_.resolve(path, util::Follow::yes);
        const bool there = resolved.found.has_value() || resolved.path.empty();
        if (there || seen_.contains(resolved.path)) return;
        add_parents(resolved.path);
        const bool is_file = kind == sandbox::NodeKind::file;
        add({.path = resolved.path,
             .type = is_file ? EntryType::file : EntryType::directory,
             .mode = is_file ? 0644U : 0755U});
    }

    std::vector<Entry> take() { return std::move(entries_); }

private:
    void add_parents(const std::string& path) {
        if (path.empty()) return;
        const std::string parent(layers::parent_path(path));
        add_parents(parent);
        if (parent.empty() || seen_.contains(parent)) return;
        Entry entry{.path = parent, .type = EntryType::directory, .mode = layers::kImplicitMode};
        if (const auto found = view_.find(parent)) {
            if (found->entry->type != EntryType::directory) {
                throw UsageError({.code = "usage.bad-mount-target",
                                  .message = fmt::format("cannot mount at {}: {} is no directory",
                                                         util::quote("/" + path), util::quote("/" + parent)),
                                  .hint = {},
                                  .where = {}});
            }
            entry = *found->entry;
            entry.path = parent;
            entry.opaque = false;
            entry.implicit = false;
        }
        add(std::move(entry));
    }

    void add(Entry entry) {
        seen_.insert(entry.path);
        entries_.push_back(std::move(entry));
    }

    const layers::ChainView& view_;
    std::set<std::string> seen_;
    std::vector<Entry> entries_;
};

// Different for entries that differ in anything that shows.
std::string text_of(const std::vector<Entry>& entries) {
    std::string out;
    for (const Entry& entry : entries) {
        out += fmt::format("{} {} {:o} {} {} {} {}", util::quote(entry.path), static_cast<int>(entry.type), entry.mode,
                           entry.uid, entry.gid, entry.mtime, entry.overridden);
        for (const auto& [name, value] : entry.xattrs)
            out += fmt::format(" {}={}", util::quote(name), util::quote(value));
        out += '\n';
    }
    return out;
}

}  // namespace

std::vector<Entry> missing_entries(const sandbox::StepSpec& spec, const layers::ChainView& view) {
    Missing missing(view);
    for (const sandbox::MountPoint& point : sandbox::required_mount_points(spec)) {
        missing.add_point(point.path, point.kind);
    }
    missing.add_point(spec.workdir, sandbox::NodeKind::directory);
    return missing.take();
}

void add_missing(const std::vector<Entry>& entries, layers::TreeWriter& writer) {
    for (const Entry& entry : entries) {
        if (writer.find(entry.path) != nullptr) continue;
        if (entry.type == EntryType::file) {
            util::MemorySource nothing("");
            writer.add_file(entry, nothing);
        } else {
            writer.add(entry);
        }
    }
}

std::string Scaffolds::tree(const std::vector<Entry>& entries) {
    const std::lock_guard lock(mutex_);
    std::string key = text_of(entries);
    if (const auto known = made_.find(key); known != made_.end()) return known->second.tree();
    layers::UnfinishedLayer place = lease_.begin_layer();
    layers::TreeWriter writer(util::RootedDir::open(place.tree()));
    add_missing(entries, writer);
    static_cast<void>(writer.finish());
    return made_.emplace(std::move(key), std::move(place)).first->second.tree();
}

}  // namespace imgbuild::builder
