#include "builder/frontend/syntax.hpp"

#include <imgbuild/reference.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace imgbuild::builder {
namespace {

/// The name without arguments behind it, and where it stands.
struct Wanted {
    std::string name;
    Span span;
};

std::optional<Wanted> wanted_frontend(const parser::BuildFile& file, const LowerOptions& options) {
    std::optional<Wanted> wanted;
    if (const auto directive = parser::find_directive_in_any(file.source->text, "syntax")) {
        wanted = Wanted{directive->value, directive->span};
    }
    for (const auto& [name, value] : options.build_args) {
        if (name == "BUILDKIT_SYNTAX" && !value.empty()) {
            wanted = Wanted{value, {}};
        }
    }
    if (wanted) {
        wanted->name = wanted->name.substr(0, wanted->name.find_first_of(" \t"));
    }
    return wanted;
}

/// "1.7-labs" → 1 and 7; a part that is not there is nothing.
std::pair<std::optional<std::uint64_t>, std::optional<std::uint64_t>> version_of(std::string_view tag) {
    const std::vector<std::string_view> parts = util::split(tag.substr(0, tag.find('-')), '.');
    return {util::parse_number(parts[0]), parts.size() > 1 ? util::parse_number(parts[1]) : std::nullopt};
}

/// Names for whatever is newest.
bool is_rolling(std::string_view tag) {
    static constexpr std::array<std::string_view, 4> kTags = {"latest", "labs", "master", "master-labs"};
    return std::find(kTags.begin(), kTags.end(), tag) != kTags.end();
}

Diagnostic foreign(const Wanted& wanted, std::string message, std::string hint) {
    return {Severity::error, "parse.unsupported-syntax", std::move(message), std::move(hint), wanted.span};
}

std::optional<Diagnostic> check_name(const Wanted& wanted) {
    std::optional<Reference> reference;
    try {
        reference = Reference::parse(wanted.name);
    } catch (const UsageError& error) {
        return foreign(wanted,
                       fmt::format("the front end {} is no image: {}", util::quote(wanted.name), error.message()),
                       "write # syntax=docker/dockerfile:1, or remove the line");
    }
    if (reference->domain() != "docker.io" ||
        (reference->path() != "docker/dockerfile" && reference->path() != "docker/dockerfile-upstream")) {
        return foreign(wanted, fmt::format("the front end {} is not supported", util::quote(wanted.name)),
                       "imgbuild reads the language of docker/dockerfile:1 itself and runs no other front ends");
    }
    if (reference->tag().empty() || is_rolling(reference->tag())) {
        return std::nullopt;
    }
    const auto [major, minor] = version_of(reference->tag());
    if (!major) {
        return foreign(wanted, fmt::format("{} names no version of the front end", util::quote(wanted.name)),
                       fmt::format("write docker/dockerfile:{}", kFrontendMajor));
    }
    if (*major != kFrontendMajor || minor.value_or(0) > kFrontendMinor) {
        return foreign(wanted,
                       fmt::format("the file asks for version {} of the language, imgbuild knows it up to {}.{}",
                                   util::quote(reference->tag()), kFrontendMajor, kFrontendMinor),
                       "a newer imgbuild may know it");
    }
    return std::nullopt;
}

}  // namespace

std::optional<Diagnostic> find_foreign_frontend(const parser::BuildFile& file, const LowerOptions& options) {
    const std::optional<Wanted> wanted = wanted_frontend(file, options);
    if (!wanted || wanted->name == "dockerfile.v0") {
        return std::nullopt;
    }
    if (options.contexts.contains(wanted->name)) {
        return foreign(
            *wanted, fmt::format("the front end {} cannot be replaced by a --build-context", util::quote(wanted->name)),
            "imgbuild reads the file itself and runs no front ends");
    }
    return check_name(*wanted);
}

}  // namespace imgbuild::builder
