#include "builder/ops/selection.hpp"

#include <imgbuild/error.hpp>

#include "builder/context/listing.hpp"
#include "parser/glob.hpp"
#include "parser/ignore.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::builder {
namespace {

using layers::EntryType;

constexpr std::size_t kMaxFiles = 1'000'000;

class Selector {
public:
    Selector(const SourceTree& tree, const CopyFiles& copy, unsigned threads)
        : tree_(tree), exclude_(copy.excludes), threads_(threads) {}

    // "a/./b/c*": what matches b/c* below a, with all directories from a on.
    void add_with_parents(const std::string& source) {
        constexpr std::string_view kPivot = "/./";
        const std::size_t pivot = source.find(kPivot);
        const std::string start = pivot == std::string::npos ? "" : util::clean_path(source.substr(0, pivot));
        const std::string pattern =
            util::clean_path(pivot == std::string::npos ? source : source.substr(pivot + kPivot.size()));
        // Which directories would be kept, nobody can say: other builders find nothing either.
        if (pattern.empty() && pivot != std::string::npos) throw not_found(start, source);
        std::vector<std::string> starts;
        if (parser::has_wildcard(start)) {
            expand(start, "", starts);
        } else {
            starts.push_back(start);
        }
        for (const std::string& directory : starts) add_parents_root(directory, pattern, source);
    }

    void add_pattern(const std::string& pattern) {
        const std::string clean = util::clean_path(pattern);
        if (!parser::has_wildcard(clean)) {
            add_root(clean, pattern);
            return;
        }
        std::vector<std::string> matches;
        expand(clean, "", matches);
        for (const std::string& match : matches) add_root(match, pattern);
    }

    void add_path(const std::string& path) { add_root(util::clean_path(path), path); }

    Selection take() { return std::move(selection_); }

private:
    // A wildcard matches component by component, since it never matches "/"; so only directories that can lead to a
    // match are listed.
    void expand(std::string_view pattern, const std::string& directory, std::vector<std::string>& matches) const {
        const std::size_t slash = pattern.find('/');
        const std::string_view head = pattern.substr(0, slash);
        for (const SourceFileInfo& child : tree_.children(directory)) {
            const std::string& path = child.entry.path;
            const std::string_view name = directory.empty() ? std::string_view(path) : layers::base_name(path);
            if (!parser::match_glob(head, name)) continue;
            if (slash == std::string_view::npos) {
                matches.push_back(path);
                continue;
            }
            const std::string inside = tree_.resolve(path);
            const auto target = tree_.find(inside);
            if (target && target->entry.type == EntryType::directory) {
                expand(pattern.substr(slash + 1), inside, matches);
            }
        }
    }

    void add_parents_root(const std::string& start, const std::string& pattern, const std::string& written) {
        const std::string resolved = tree_.resolve(start);
        auto self = tree_.find(resolved);
        if (!self || self->entry.type != EntryType::directory) throw not_found(resolved, written);
        const std::string whole = layers::join_path(resolved, pattern);
        if (!parser::has_wildcard(pattern) && !tree_.find(whole)) throw not_found(whole, written);
        SelectedRoot root;
        root.self = std::move(*self);
        // What the pattern does not bring back is left out, as if by an ignore file.
        if (!pattern.empty()) include_ = parser::IgnoreMatcher({"**", "!" + pattern});
        add_all_below(root, resolved);
        include_ = {};
        const bool wildcard_without_match = root.below.empty() && !pattern.empty();
        if (!wildcard_without_match) selection_.roots.push_back(std::move(root));
    }

    void add_root(const std::string& path, const std::string& written) {
        const std::string resolved = tree_.resolve(path);
        auto self = tree_.find(resolved);
        if (!self) throw not_found(resolved, written);
        SelectedRoot root;
        root.name = path.empty() ? "" : std::string(layers::base_name(path));
        const bool is_directory = self->entry.type == EntryType::directory;
        if (!is_directory && exclude_.excluded(root.name)) return;
        root.self = std::move(*self);
        if (is_directory) add_all_below(root, root.self.entry.path);
        selection_.roots.push_back(std::move(root));
    }

    void add_all_below(SelectedRoot& root, const std::string& directory) {
        const std::string top = root.self.entry.path;
        Listing listing(tree_, threads_, [this, &top](const std::string& path) {
            const std::string_view relative = relative_to(top, path);
            return !is_excluded(relative) || !can_skip(relative);
        });
        listing.list(directory);
        root.below.reserve(listing.count());
        add_below(root, directory, listing);
    }

    static std::string_view relative_to(std::string_view top, std::string_view path) {
        return top.empty() ? path : path.substr(top.size() + 1);
    }
    bool is_excluded(std::string_view relative) const {
        return leaves_out(exclude_, relative) || leaves_out(include_, relative);
    }
    bool can_skip(std::string_view relative) const {
        return exclude_.can_skip(relative) || include_.can_skip(relative);
    }

    void add_below(SelectedRoot& root, const std::string& directory, Listing& listing) {
        for (SourceFileInfo& child : listing.take(directory)) {
            const bool is_directory = child.entry.type == EntryType::directory;
            const std::string_view relative = relative_to(root.self.entry.path, child.entry.path);
            const bool excluded = is_excluded(relative);
            if (excluded && (!is_directory || can_skip(relative))) continue;
            if (++count_ > kMaxFiles) {
                throw Error({.code = "source.too-many-files",
                             .message = fmt::format("more than {} files are to be copied", kMaxFiles),
                             .hint = "exclude what the image does not need in .dockerignore",
                             .where = {}});
            }
            const std::size_t here = root.below.size();
            root.below.push_back(std::move(child));
            // By a copy of its path: `below` moves when it grows.
            if (is_directory) add_below(root, std::string(root.below.back().entry.path), listing);
            // An excluded directory is only there for what an exception brings back in it.
            if (excluded && root.below.size() == here + 1) root.below.pop_back();
        }
    }

    static bool leaves_out(const parser::IgnoreMatcher& matcher, std::string_view path) {
        return !matcher.empty() && matcher.excluded(path);
    }

    Error not_found(const std::string& path, const std::string& written) const {
        const std::string why = tree_.why_absent(path);
        return Error({.code = "source.not-found",
                      .message = fmt::format("{} not found{}", util::quote(written), why.empty() ? "" : ": " + why),
                      .hint = why.empty() ? "paths are relative to the root of the context" : "",
                      .where = {}});
    }

    const SourceTree& tree_;
    parser::IgnoreMatcher exclude_;
    /// Of a source with parents: leaves out all but that.
    parser::IgnoreMatcher include_;
    unsigned threads_;
    Selection selection_;
    std::size_t count_ = 0;
};

}  // namespace

std::unique_ptr<Selection> SourceTree::selected_ahead(const CopyFiles&) const {
    return nullptr;
}

Selection select_files(const SourceTree& tree, const CopyFiles& copy, unsigned threads) {
    if (const auto ahead = tree.selected_ahead(copy)) return std::move(*ahead);
    Selector selector(tree, copy, threads);
    for (const std::string& source : copy.sources) {
        if (copy.parents) {
            selector.add_with_parents(source);
        } else {
            selector.add_pattern(source);
        }
    }
    return selector.take();
}

Selection select_path(const SourceTree& tree, const std::string& path) {
    if (!tree.find(tree.resolve(util::clean_path(path)))) {
        throw Error({.code = "source.not-found",
                     .message = fmt::format("{} not found in what from= names", util::quote("/" + path)),
                     .hint = "source= is a path in that stage or image",
                     .where = {}});
    }
    Selector selector(tree, {}, 1);
    selector.add_path(path);
    return selector.take();
}

}  // namespace imgbuild::builder
