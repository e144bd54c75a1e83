#include "oci/descriptor.hpp"

#include <imgbuild/error.hpp>

#include "oci/document_json.hpp"
#include "oci/json_object.hpp"
#include "oci/media_types.hpp"
#include "oci/platform_parts.hpp"
#include "util/bytes.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace imgbuild::oci {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDescriptorBytes = 4U << 20;

bool is_lower_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

// The specification's grammar for any algorithm, known or not.
bool is_well_formed_digest(std::string_view text) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos || colon + 1 == text.size()) return false;
    bool separated = true;  // a separator must stand between two components
    for (const char c : text.substr(0, colon)) {
        const bool separator = std::string_view("+._-").contains(c);
        if (separator ? separated : !is_lower_alphanumeric(c)) return false;
        separated = separator;
    }
    const auto is_encoded = [](char c) {
        return is_lower_alphanumeric(c) || (c >= 'A' && c <= 'Z') || c == '=' || c == '_' || c == '-';
    };
    const std::string_view encoded = text.substr(colon + 1);
    return !separated && std::all_of(encoded.begin(), encoded.end(), is_encoded);
}

Digest read_digest(const std::string& text, const JsonObject& object) {
    if (const auto digest = Digest::parse(text)) return *digest;
    if (!is_well_formed_digest(text) || text.starts_with("sha256:")) {
        object.fail(fmt::format("'digest' is not a digest: {}", util::quote(text)));
    }
    throw CorruptData(
        {.code = "registry.unsupported-digest",
         .message = fmt::format("{}: unsupported digest algorithm in {}", object.what(), util::quote(text)),
         .hint = "only sha256 digests are supported",
         .where = {}});
}

std::string read_media_type(JsonObject& object, std::string_view name) {
    std::string text = object.text(name);
    if (!text.empty() && !is_well_formed_media_type(text)) {
        object.fail(fmt::format("'{}' is not a media type: {}", name, util::quote(text)));
    }
    return text;
}

Platform platform_from_json(const json& value, const std::string& what, std::string_view code) {
    JsonObject object(value, what + ", platform", std::string(code));
    const std::string os = object.required_text("os");
    const std::string architecture = object.required_text("architecture");
    return normalized_platform(os, architecture, object.text("variant"), object.text("os.version"));
}

json platform_to_json(const Platform& platform) {
    json out{{"architecture", platform.architecture}, {"os", platform.os}};
    if (!platform.variant.empty()) out["variant"] = platform.variant;
    if (!platform.os_version.empty()) out["os.version"] = platform.os_version;
    return out;
}

// Absolute by the grammar of RFC 3986: it begins with a scheme.
bool is_uri(std::string_view text) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos || colon == 0) return false;
    const bool graphic = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
    const std::string_view scheme = text.substr(0, colon);
    return graphic && std::all_of(scheme.begin(), scheme.end(), [](char c) {
               return is_lower_alphanumeric(c) || (c >= 'A' && c <= 'Z') || std::string_view("+.-").contains(c);
           });
}

}  // namespace

Descriptor describe(std::string_view media_type, std::string_view bytes) {
    return {.media_type = std::string(media_type), .digest = util::Sha256::of(bytes), .size = bytes.size()};
}

Descriptor descriptor_from_json(const json& value, std::string what, std::string_view code) {
    JsonObject object(value, std::move(what), std::string(code));
    Descriptor out;
    out.media_type = read_media_type(object, "mediaType");
    if (out.media_type.empty()) object.fail("'mediaType' is missing");
    out.digest = read_digest(object.required_text("digest"), object);
    if (!object.has("size")) object.fail("'size' is missing");
    const std::int64_t size = object.integer("size");
    if (size < 0) object.fail("'size' is negative");
    out.size = static_cast<std::uint64_t>(size);
    out.annotations = object.string_map("annotations");
    out.urls = object.strings("urls").value_or(std::vector<std::string>{});
    if (!std::all_of(out.urls.begin(), out.urls.end(), is_uri)) object.fail("'urls' must be a list of URIs");
    out.artifact_type = read_media_type(object, "artifactType");
    out.data = object.text("data");
    if (const json* platform = object.object("platform")) {
        out.platform = platform_from_json(*platform, object.what(), code);
    }
    return out;
}

json descriptor_to_json(const Descriptor& descriptor) {
    json out{{"mediaType", descriptor.media_type}, {"digest", descriptor.digest.text()}, {"size", descriptor.size}};
    if (!descriptor.annotations.empty()) out["annotations"] = descriptor.annotations;
    if (!descriptor.urls.empty()) out["urls"] = descriptor.urls;
    if (!descriptor.artifact_type.empty()) out["artifactType"] = descriptor.artifact_type;
    if (!descriptor.data.empty()) out["data"] = descriptor.data;
    if (descriptor.platform) out["platform"] = platform_to_json(*descriptor.platform);
    return out;
}

Descriptor parse_descriptor(std::string_view text, std::string_view what) {
    constexpr std::string_view kCode = "corrupt.descriptor";
    return descriptor_from_json(parse_json(text, kMaxDescriptorBytes, what, kCode), std::string(what), kCode);
}

}  // namespace imgbuild::oci
