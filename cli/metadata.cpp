#include "cli/metadata.hpp"

#include "oci/time.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string_view>

namespace imgbuild::cli {
namespace {

using nlohmann::json;

// buildx writes some texts as bytes, which JSON of Go's is base64.
std::string base64(std::string_view bytes) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::string_view part = bytes.substr(i, 3);
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            group = group << 8U | (k < part.size() ? static_cast<unsigned char>(part[k]) : 0U);
        }
        for (std::size_t k = 0; k < 4; ++k) {
            out += k <= part.size() ? kDigits[group >> (18 - 6 * k) & 63U] : '=';
        }
    }
    return out;
}

json warnings_json(const std::vector<Diagnostic>& warnings) {
    json out = json::array();
    for (const Diagnostic& warning : warnings) {
        json entry = {{"level", 1}, {"short", base64(warning.message)}, {"code", warning.code}};
        if (!warning.hint.empty()) entry["detail"] = {base64(warning.hint)};
        if (warning.span) {
            entry["range"] = {{{"start", {{"line", warning.span.line}}}, {"end", {{"line", warning.span.end_line}}}}};
        }
        out.push_back(std::move(entry));
    }
    return out;
}

json descriptor_json(const builder::BuildResult& result) {
    const oci::Descriptor& descriptor = *result.descriptor;
    json out = {{"mediaType", descriptor.media_type}, {"digest", descriptor.digest.text()}, {"size", descriptor.size}};
    for (const auto& annotation : descriptor.annotations) out["annotations"][annotation.first] = annotation.second;
    out["annotations"]["config.digest"] = result.image_id.text();
    out["annotations"]["org.opencontainers.image.created"] =
        oci::format_time({.seconds = result.time, .nanoseconds = 0});
    if (descriptor.platform) {
        out["platform"] = {{"os", descriptor.platform->os}, {"architecture", descriptor.platform->architecture}};
        if (!descriptor.platform->variant.empty()) out["platform"]["variant"] = descriptor.platform->variant;
    }
    return out;
}

}  // namespace

std::string metadata_json(const builder::BuildResult& result, MetadataWarnings with_warnings) {
    json out = {{"containerimage.config.digest", result.image_id.text()},
                {"containerimage.digest", result.manifest.value_or(result.image_id).text()}};
    if (result.descriptor) out["containerimage.descriptor"] = descriptor_json(result);
    std::string names;
    for (const Reference& name : result.names) names += (names.empty() ? "" : ",") + name.text();
    if (!names.empty()) out["image.name"] = names;
    if (with_warnings == MetadataWarnings::yes) out["buildx.build.warnings"] = warnings_json(result.warnings);
    return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace imgbuild::cli
