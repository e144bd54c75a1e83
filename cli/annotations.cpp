#include "cli/annotations.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::cli {
namespace {

UsageError bad_annotation(std::string message, std::string hint) {
    return UsageError(
        {.code = "usage.bad-annotation", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

// "manifest", "manifest[linux/amd64]": the annotations that it means.
oci::Annotations& level_of(std::string_view text, const Platform& platform, AnnotationSet& set) {
    const std::size_t bracket = text.find('[');
    const std::string_view level = text.substr(0, bracket);
    if (bracket != std::string_view::npos) {
        if (!text.ends_with(']')) throw bad_annotation(fmt::format("{} has no closing bracket", util::quote(text)), "");
        const std::string_view wanted = text.substr(bracket + 1, text.size() - bracket - 2);
        if (Platform::parse(wanted) != platform) {
            throw bad_annotation(
                fmt::format("the annotation is for {}, and the image is for {}", util::quote(wanted), platform.text()),
                "leave the platform out");
        }
    }
    if (level.empty() || level == "manifest") return set.manifest;
    if (level == "manifest-descriptor") return set.descriptor;
    if (level == "index" || level == "index-descriptor") {
        throw bad_annotation("an image of one platform has no index to annotate", "write manifest:KEY=VALUE");
    }
    throw bad_annotation(fmt::format("{} is no level of annotations", util::quote(level)),
                         "the levels are manifest and manifest-descriptor");
}

}  // namespace

void add_annotation(std::string_view text, const Platform& platform, AnnotationSet& set) {
    const std::size_t equals = text.find('=');
    const std::string_view left = text.substr(0, equals);
    const std::size_t colon = left.find(':');
    const std::string_view key = colon == std::string_view::npos ? left : left.substr(colon + 1);
    if (equals == std::string_view::npos || key.empty()) {
        throw bad_annotation(fmt::format("--annotation {} is not KEY=VALUE", util::quote(text)),
                             "for example --annotation org.opencontainers.image.version=1.2");
    }
    const std::string_view levels = colon == std::string_view::npos ? "manifest" : left.substr(0, colon);
    for (const std::string_view level : util::split(levels, ',')) {
        level_of(level, platform, set)[std::string(key)] = text.substr(equals + 1);
    }
}

bool add_annotation_option(std::string_view option, const std::string& value, const Platform& platform,
                           AnnotationSet& set) {
    constexpr std::string_view kPrefix = "annotation";
    if (!option.starts_with(kPrefix)) return false;
    std::string_view rest = option.substr(kPrefix.size());
    // A platform in brackets may have a dot in it.
    const std::size_t bracket = rest.find(']');
    const std::size_t dot = rest.find('.', bracket == std::string_view::npos ? 0 : bracket);
    if (dot == std::string_view::npos || dot + 1 == rest.size()) {
        throw bad_annotation(fmt::format("{} names no annotation", util::quote(option)), "write annotation.KEY=VALUE");
    }
    std::string_view level = rest.substr(0, dot);
    if (level.starts_with('-')) level.remove_prefix(1);
    level_of(level, platform, set)[std::string(rest.substr(dot + 1))] = value;
    return true;
}

}  // namespace imgbuild::cli
