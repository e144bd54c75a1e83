#include "oci/manifest.hpp"

#include <imgbuild/error.hpp>

#include "oci/document_json.hpp"
#include "oci/json_object.hpp"
#include "oci/media_types.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace imgbuild::oci {
namespace {

using nlohmann::json;

constexpr std::string_view kCode = "corrupt.manifest";

json parse_document(std::string_view text, std::string_view what) {
    return parse_json(text, kMaxManifestBytes, what, kCode);
}

JsonObject reader(const json& document, std::string_view what) {
    return JsonObject(document, std::string(what), std::string(kCode));
}

[[noreturn]] void refuse_schema1() {
    throw CorruptData({.code = "corrupt.schema1",
                       .message = "the manifest has docker's first format (schema 1), which is no longer supported",
                       .hint = "push the image again with a current tool, or ask the registry's operator to convert it",
                       .where = {}});
}

// The media type that document and sender agree on; empty if neither says.
std::string agreed_media_type(JsonObject& object, std::string_view told) {
    std::string own = object.text("mediaType");
    if (is_schema1(own) || is_schema1(told)) refuse_schema1();
    if (!own.empty() && !told.empty() && own != told) {
        object.fail(fmt::format("it calls itself {}, but was announced as {}", util::quote(own), util::quote(told)));
    }
    return own.empty() ? std::string(told) : own;
}

void check_schema_version(JsonObject& object) {
    if (!object.has("schemaVersion")) object.fail("'schemaVersion' is missing");
    const std::int64_t version = object.integer("schemaVersion");
    if (version == 1) refuse_schema1();
    if (version != 2) object.fail(fmt::format("'schemaVersion' is {}, only 2 is known", version));
}

// A document with the members of both kinds means one image to one reader and another to the next (CVE-2021-41190).
void refuse_members_of_both(const JsonObject& object) {
    const bool manifest = object.has("layers") || object.has("config");
    if (manifest && object.has("manifests")) object.fail("it has the members of both a manifest and an index");
}

std::string read_artifact_type(JsonObject& object) {
    std::string type = object.text("artifactType");
    if (!type.empty() && !is_well_formed_media_type(type)) {
        object.fail(fmt::format("'artifactType' is not a media type: {}", util::quote(type)));
    }
    return type;
}

std::optional<Descriptor> read_subject(JsonObject& object) {
    const json* subject = object.object("subject");
    if (subject == nullptr) return std::nullopt;
    return descriptor_from_json(*subject, object.what() + ", subject", kCode);
}

std::vector<Descriptor> read_descriptors(JsonObject& object, std::string_view name, std::size_t limit) {
    const json* array = object.array(name, limit);
    if (array == nullptr) object.fail(fmt::format("'{}' is missing", name));
    std::vector<Descriptor> out;
    for (const json& element : *array) {
        out.push_back(descriptor_from_json(element, fmt::format("{}, {} {}", object.what(), name, out.size()), kCode));
    }
    return out;
}

json descriptors_to_json(const std::vector<Descriptor>& descriptors) {
    json out = json::array();
    for (const Descriptor& descriptor : descriptors) out.push_back(descriptor_to_json(descriptor));
    return out;
}

void put_common(json& out, const std::string& media_type, const std::string& artifact_type,
                const std::optional<Descriptor>& subject, const Annotations& annotations) {
    out["schemaVersion"] = 2;
    if (!media_type.empty()) out["mediaType"] = media_type;
    if (!artifact_type.empty()) out["artifactType"] = artifact_type;
    if (subject) out["subject"] = descriptor_to_json(*subject);
    if (!annotations.empty()) out["annotations"] = annotations;
}

}  // namespace

std::string Manifest::to_json() const {
    json out{{"config", descriptor_to_json(config)}, {"layers", descriptors_to_json(layers)}};
    put_common(out, media_type, artifact_type, subject, annotations);
    return canonical_json(out);
}

std::string Index::to_json() const {
    json out{{"manifests", descriptors_to_json(manifests)}};
    put_common(out, media_type, artifact_type, subject, annotations);
    return canonical_json(out);
}

Manifest parse_manifest(std::string_view text, std::string_view media_type) {
    constexpr std::string_view kWhat = "the manifest";
    const json document = parse_document(text, kWhat);
    JsonObject object = reader(document, kWhat);
    Manifest out;
    out.media_type = agreed_media_type(object, media_type);
    check_schema_version(object);
    refuse_members_of_both(object);
    if (out.media_type.empty()) out.media_type = media_type::kManifest;
    if (!is_manifest(out.media_type)) object.fail(fmt::format("it is no manifest but {}", util::quote(out.media_type)));
    const json* config = object.object("config");
    if (config == nullptr) object.fail("'config' is missing");
    out.config = descriptor_from_json(*config, std::string(kWhat) + ", config", kCode);
    out.layers = read_descriptors(object, "layers", kMaxLayers);
    // The specification's schema wants a layer, and docker's format never did.
    if (out.layers.empty() && out.media_type == media_type::kManifest) object.fail("'layers' is empty");
    out.artifact_type = read_artifact_type(object);
    out.subject = read_subject(object);
    out.annotations = object.string_map("annotations");
    return out;
}

Index parse_index(std::string_view text, std::string_view media_type) {
    constexpr std::string_view kWhat = "the index";
    const json document = parse_document(text, kWhat);
    JsonObject object = reader(document, kWhat);
    Index out;
    out.media_type = agreed_media_type(object, media_type);
    check_schema_version(object);
    refuse_members_of_both(object);
    if (out.media_type.empty()) out.media_type = media_type::kIndex;
    if (!is_index(out.media_type)) object.fail(fmt::format("it is no index but {}", util::quote(out.media_type)));
    out.manifests = read_descriptors(object, "manifests", kMaxIndexEntries);
    out.artifact_type = read_artifact_type(object);
    out.subject = read_subject(object);
    out.annotations = object.string_map("annotations");
    return out;
}

bool document_is_index(std::string_view text, std::string_view media_type) {
    const json document = parse_document(text, "the manifest");
    JsonObject object = reader(document, "the manifest");
    refuse_members_of_both(object);
    const std::string type = agreed_media_type(object, media_type);
    if (is_index(type)) return true;
    return !is_manifest(type) && object.has("manifests");
}

}  // namespace imgbuild::oci
