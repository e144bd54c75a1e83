#include "parser/git_reference.hpp"

#include "parser/glob.hpp"
#include "parser/reject.hpp"
#include "parser/url.hpp"
#include "parser/values.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace imgbuild::parser {
namespace {

constexpr std::string_view kHosted = "github.com/";

[[noreturn]] void reject_option(std::string message, std::string hint) {
    reject("parse.bad-git-reference", std::move(message), std::move(hint));
}

/// What is behind the repository: "ref:subdirectory" and the options of the query.
struct Parts {
    std::string remote;
    std::string fragment;
    std::vector<std::pair<std::string, std::string>> options;
};

bool is_made_of(std::string_view text, std::string_view others) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [others](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || others.contains(c);
    });
}

/// "user@host:path[?query][#fragment]"
std::optional<Parts> split_scp_form(std::string_view text) {
    const std::size_t at = text.find('@');
    const std::size_t colon = text.find(':');
    if (at == std::string_view::npos || colon == std::string_view::npos || colon < at || text.contains('\n') ||
        !is_made_of(text.substr(0, at), "-_") || !is_made_of(text.substr(at + 1, colon - at - 1), "-.")) {
        return std::nullopt;
    }
    const std::size_t path_end = std::min(text.find_first_of("?#", colon), text.size());
    std::string_view rest = text.substr(path_end);
    Parts parts{std::string(text.substr(0, path_end)), {}, {}};
    if (rest.starts_with('?')) {
        const std::size_t hash = std::min(rest.find('#'), rest.size());
        Query query = parse_query(rest.substr(1, hash - 1));
        if (query.malformed) {
            return std::nullopt;
        }
        parts.options = std::move(query.pairs);
        rest.remove_prefix(hash);
    }
    parts.fragment = rest.substr(rest.empty() ? 0 : 1);
    return parts;
}

std::optional<Parts> split_url_form(std::string_view text) {
    std::optional<Url> url = parse_url(text);
    const bool is_http = url && (url->scheme == "http" || url->scheme == "https");
    if (!url || (is_http && !url->path.ends_with(".git"))) {
        return std::nullopt;
    }
    return Parts{std::move(url->without_query), std::move(url->fragment), parse_query(url->query).pairs};
}

/// Has it a scheme, and is it one of git's?
enum class Scheme { none, known, other };
Scheme scheme_of(std::string_view text) {
    const std::size_t colon = text.find("://");
    if (colon == std::string_view::npos || !is_made_of(text.substr(0, colon), "")) {
        return Scheme::none;
    }
    static constexpr std::array<std::string_view, 4> kKnown = {"http", "https", "ssh", "git"};
    const std::string scheme = util::to_lower(text.substr(0, colon));
    return std::find(kKnown.begin(), kKnown.end(), scheme) != kKnown.end() ? Scheme::known : Scheme::other;
}

std::optional<Parts> split_reference(std::string_view text) {
    if (text.starts_with("./") || text.starts_with("../")) {
        return std::nullopt;
    }
    if (text.starts_with(kHosted)) {
        std::optional<Url> url = parse_url(fmt::format("https://{}", text));
        if (!url) {
            return std::nullopt;
        }
        return Parts{url->without_query.substr(std::string_view("https://").size()), url->fragment,
                     parse_query(url->query).pairs};
    }
    switch (scheme_of(text)) {
        case Scheme::known:
            return split_url_form(text);
        case Scheme::none:
            return split_scp_form(text);
        case Scheme::other:
            break;
    }
    return std::nullopt;
}

bool flag_of(std::string_view name, const std::string& value) {
    const std::optional<bool> on = value.empty() ? std::optional(true) : parse_bool(value);
    if (!on) {
        reject_option(fmt::format("invalid {} value: {}", name, util::quote(value)), "write true or false");
    }
    return *on;
}

/// Gives `place` a value that nothing else may have given it.
void set_once(std::string& place, std::string_view what, const std::string& value) {
    if (!place.empty() && place != value) {
        reject_option(fmt::format("{} conflicts: {} vs {}", what, util::quote(place), util::quote(value)),
                      "give it once");
    }
    place = value;
}

std::string with_prefix(std::string_view prefix, const std::string& name) {
    return name.starts_with(prefix) ? name : std::string(prefix) + name;
}

/// Reads the options of the query one after the other; tag and branch count last.
class OptionReader {
public:
    explicit OptionReader(GitReference& reference) : reference_(reference) {}

    void take(const std::string& name, const std::string& value) {
        if (std::find(seen_.begin(), seen_.end(), name) != seen_.end()) {
            reject_option(fmt::format("query {} has multiple values", util::quote(name)), "give it once");
        }
        seen_.push_back(name);
        if (take_flag(name, value)) {
            return;
        }
        std::string* const place = place_of(name);
        if (value.empty()) {
            reject_option(fmt::format("query {} has no value", util::quote(name)), fmt::format("write {}=VALUE", name));
        }
        if (name == "ref" || name == "subdir") {
            set_once(*place, name, value);
        } else {
            *place = value;
        }
        if (name == "mtime" && value != "checkout" && value != "commit") {
            reject_option(fmt::format("invalid mtime value: {}", util::quote(value)), "write checkout or commit");
        }
    }

    void finish() {
        if (!tag_.empty() && !branch_.empty()) {
            reject_option("branch conflicts with tag", "give one of them");
        }
        if (!tag_.empty()) {
            set_once(reference_.ref, "ref", with_prefix("refs/tags/", tag_));
        }
        if (!branch_.empty()) {
            set_once(reference_.ref, "ref", with_prefix("refs/heads/", branch_));
        }
    }

private:
    bool take_flag(const std::string& name, const std::string& value) {
        if (name == "keep-git-dir") {
            reference_.keep_git_dir = flag_of(name, value);
        } else if (name == "submodules") {
            reference_.submodules = flag_of(name, value);
        } else if (name == "fetch-by-commit") {
            reference_.fetch_by_commit = flag_of(name, value);
        } else {
            return false;
        }
        return true;
    }

    std::string* place_of(const std::string& name) {
        const std::array<std::pair<std::string_view, std::string*>, 7> places = {{{"ref", &reference_.ref},
                                                                                  {"tag", &tag_},
                                                                                  {"branch", &branch_},
                                                                                  {"subdir", &reference_.subdirectory},
                                                                                  {"checksum", &reference_.checksum},
                                                                                  {"commit", &reference_.checksum},
                                                                                  {"mtime", &reference_.mtime}}};
        const auto* const found =
            std::find_if(places.begin(), places.end(), [&name](const auto& p) { return p.first == name; });
        if (found != places.end()) {
            return found->second;
        }
        const std::optional<std::string_view> near =
            util::nearest(name, {"ref", "tag", "branch", "subdir", "checksum", "commit", "mtime", "keep-git-dir",
                                 "submodules", "fetch-by-commit"});
        reject_option(
            fmt::format("unexpected query \"{}\"", shown(name)),
            near ? fmt::format("did you mean {}?", *near)
                 : "known are ref, tag, branch, subdir, checksum, keep-git-dir, submodules, mtime and fetch-by-commit");
    }

    GitReference& reference_;
    std::string tag_;
    std::string branch_;
    std::vector<std::string> seen_;
};

}  // namespace

std::optional<GitReference> parse_git_reference(std::string_view text) {
    std::optional<Parts> parts = split_reference(text);
    if (!parts) {
        return std::nullopt;
    }
    GitReference reference;
    reference.looks_local = text.starts_with(kHosted);
    reference.remote = std::move(parts->remote);
    reference.unencrypted = reference.remote.starts_with("http://") || reference.remote.starts_with("git://");
    reference.short_name = reference.remote.substr(reference.remote.rfind('/') + 1);
    if (reference.short_name.ends_with(".git")) {
        reference.short_name.resize(reference.short_name.size() - 4);
    }
    const std::size_t colon = std::min(parts->fragment.find(':'), parts->fragment.size());
    reference.ref = parts->fragment.substr(0, colon);
    if (colon < parts->fragment.size()) {
        // From the root, so that ".." ends there.
        reference.subdirectory = clean_pattern("/" + parts->fragment.substr(colon + 1)).substr(1);
    }
    OptionReader options(reference);
    for (const auto& [name, value] : parts->options) {
        options.take(name, value);
    }
    options.finish();
    return reference;
}

}  // namespace imgbuild::parser
