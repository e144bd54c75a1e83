#include "layers/name_index.hpp"

#include <imgbuild/error.hpp>

#include "layers/index_codec.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::layers {
namespace {

[[noreturn]] void bad_index(std::string message) {
    throw CorruptData({.code = "corrupt.names", .message = std::move(message), .hint = {}, .where = {}});
}

void check_component(std::string_view component, std::string_view path) {
    if (component.empty() || component == "." || component == ".." || component.contains('\0')) {
        bad_index(fmt::format("{} is no clean path", util::quote(path)));
    }
    if (component.starts_with(".wh.")) {
        throw Error(
            {.code = "layers.reserved-name",
             .message = fmt::format("{} cannot be in a layer: names that begin with \".wh.\" mean deleted files there",
                                    util::quote(path)),
             .hint = "remove or rename the file in the step that makes it",
             .where = {}});
    }
}

void check_path(std::string_view path) {
    if (path.empty()) return;
    for (const std::string_view component : util::split(path, '/')) check_component(component, path);
    if (path.back() == '/') bad_index(fmt::format("{} is no clean path", util::quote(path)));
}

void check_type(const Entry& entry) {
    const bool directory = entry.type == EntryType::directory;
    if (entry.path.empty() && !directory) bad_index("the root of a layer is no directory");
    if ((entry.opaque || entry.implicit) && !directory) {
        bad_index(fmt::format("{} is marked as a directory and is none", util::quote(entry.path)));
    }
    if (entry.external && entry.type != EntryType::hardlink) {
        bad_index(fmt::format("{} is marked as a hard link and is none", util::quote(entry.path)));
    }
}

}  // namespace

NameIndex::NameIndex(std::vector<Entry> entries, std::optional<std::string> passwd, std::optional<std::string> group)
    : entries_(std::move(entries)), passwd_(std::move(passwd)), group_(std::move(group)) {
    const auto before = [](const Entry& a, const Entry& b) { return compare_paths(a.path, b.path) < 0; };
    if (!std::is_sorted(entries_.begin(), entries_.end(), before)) {
        std::sort(entries_.begin(), entries_.end(), before);
    }
    check_and_note();
}

void NameIndex::check_and_note() {
    std::vector<std::size_t> open;  // the directories around the current entry, outermost first
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        const Entry& entry = entries_[i];
        check_path(entry.path);
        check_type(entry);
        if (i > 0 && entries_[i - 1].path == entry.path) {
            bad_index(fmt::format("{} is there twice", util::quote(entry.path)));
        }
        while (!open.empty() && !is_inside(entry.path, entries_[open.back()].path)) open.pop_back();
        if (!entry.path.empty() && !parent_path(entry.path).empty() &&
            (open.empty() || entries_[open.back()].path != parent_path(entry.path))) {
            bad_index(fmt::format("{} lies in no directory", util::quote(entry.path)));
        }
        if (entry.type == EntryType::directory) open.push_back(i);
        if (entry.implicit) implicit_.push_back(i);
    }
    for (const Entry& entry : entries_) {
        if (entry.type != EntryType::hardlink) continue;
        const Entry* file = entry.external ? nullptr : find(entry.link_target);
        const bool known = file != nullptr && file->type != EntryType::directory && file->type != EntryType::hardlink &&
                           file->type != EntryType::whiteout;
        if (!entry.external && !known) {
            bad_index(fmt::format("{} is a hard link to nothing", util::quote(entry.path)));
        }
    }
}

std::size_t NameIndex::lower_bound(std::string_view path) const {
    const auto at = std::lower_bound(
        entries_.begin(), entries_.end(), path,
        [](const Entry& entry, std::string_view wanted) { return compare_paths(entry.path, wanted) < 0; });
    return static_cast<std::size_t>(at - entries_.begin());
}

const Entry* NameIndex::find(std::string_view path) const {
    const std::size_t at = lower_bound(path);
    return at < entries_.size() && entries_[at].path == path ? &entries_[at] : nullptr;
}

std::span<const Entry> NameIndex::descendants(std::string_view directory) const {
    std::size_t first = lower_bound(directory);
    if (first < entries_.size() && entries_[first].path == directory) ++first;
    const auto end = std::partition_point(entries_.begin() + static_cast<std::ptrdiff_t>(first), entries_.end(),
                                          [&](const Entry& entry) { return is_inside(entry.path, directory); });
    return std::span(entries_).subspan(first, static_cast<std::size_t>(end - entries_.begin()) - first);
}

std::vector<const Entry*> NameIndex::children(std::string_view directory) const {
    std::vector<const Entry*> out;
    std::span<const Entry> rest = descendants(directory);
    while (!rest.empty()) {
        const Entry& child = rest.front();
        out.push_back(&child);
        const auto next = std::partition_point(rest.begin() + 1, rest.end(),
                                               [&](const Entry& entry) { return is_inside(entry.path, child.path); });
        rest = std::span(next, rest.end());
    }
    return out;
}

void NameIndex::set_user_files(std::optional<std::string> passwd, std::optional<std::string> group) {
    passwd_ = std::move(passwd);
    group_ = std::move(group);
}

std::string NameIndex::serialize() const {
    IndexEncoder out;
    out.number(entries_.size());
    std::string_view previous;
    for (const Entry& entry : entries_) {
        out.entry(entry, previous);
        previous = entry.path;
    }
    out.text(passwd_);
    out.text(group_);
    return out.finish();
}

NameIndex NameIndex::parse(std::string_view bytes) {
    IndexDecoder in(bytes);
    // An entry takes at least 8 bytes; so a forged number cannot make us reserve more than the file is worth.
    const std::uint64_t count = in.number();
    if (count > bytes.size() / 8) bad_index("an index claims more names than it has bytes for");
    std::vector<Entry> entries;
    entries.reserve(count);
    std::string_view previous;
    for (std::uint64_t i = 0; i < count; ++i) {
        entries.push_back(in.entry(previous));
        if (i > 0 && compare_paths(previous, entries.back().path) >= 0)
            bad_index("the names of an index are not in order");
        previous = entries.back().path;
    }
    auto passwd = in.text();
    auto group = in.text();
    in.finish();
    return NameIndex(std::move(entries), std::move(passwd), std::move(group));
}

}  // namespace imgbuild::layers
