#include "registry/layout_format.hpp"

#include "oci/document_json.hpp"
#include "oci/json_object.hpp"
#include "oci/media_types.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace imgbuild::registry {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxMarkerBytes = 4096;

// The annotations of an entry of that name.
oci::Annotations name_annotations(const std::string& name) {
    const std::size_t slash = name.rfind('/');
    const std::size_t colon = name.find(':', slash == std::string::npos ? 0 : slash);
    if (colon == std::string::npos) return {{std::string(kRefName), name}};
    return {{std::string(kRefName), name.substr(colon + 1)}, {std::string(kContainerdName), name}};
}

std::string annotation(const json& entry, std::string_view key) {
    const auto annotations = entry.find("annotations");
    if (annotations == entry.end() || !annotations->is_object()) return {};
    const auto found = annotations->find(key);
    return found != annotations->end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Two images may share a tag if their whole names differ; where one of them has none, the tag alone decides, since a
// reader that looks for it could not tell them apart.
bool same_name(const json& a, const json& b) {
    const std::string whole_a = annotation(a, kContainerdName);
    const std::string whole_b = annotation(b, kContainerdName);
    if (!whole_a.empty() && !whole_b.empty()) return whole_a == whole_b;
    const std::string tag = annotation(a, kRefName);
    return !tag.empty() && tag == annotation(b, kRefName);
}

bool is_unnamed(const json& entry) {
    return annotation(entry, kContainerdName).empty() && annotation(entry, kRefName).empty();
}

}  // namespace

std::string blob_file(const Digest& digest) {
    return fmt::format("{}/{}", kBlobDirectory, digest.hex());
}

void check_layout_marker(std::string_view text, std::string_view what) {
    constexpr std::string_view kCode = "corrupt.oci-layout";
    const json document = oci::parse_json(text, kMaxMarkerBytes, what, kCode);
    oci::JsonObject object(document, std::string(what), std::string(kCode));
    const std::string version = object.required_text("imageLayoutVersion");
    if (!version.starts_with("1.")) {
        object.fail(fmt::format("layout version {} is not supported, only 1.x is", util::quote(version)));
    }
}

json empty_layout_index() {
    return {{"schemaVersion", 2}, {"mediaType", oci::media_type::kIndex}, {"manifests", json::array()}};
}

void list_in_index(json& index, const oci::Descriptor& manifest, std::span<const std::string> names) {
    std::vector<json> entries;
    for (const std::string& name : names) {
        oci::Descriptor entry = manifest;
        entry.annotations.merge(name_annotations(name));
        entries.push_back(oci::descriptor_to_json(entry));
    }
    if (names.empty()) entries.push_back(oci::descriptor_to_json(manifest));

    json kept = json::array();
    for (json& old : index["manifests"]) {
        bool stays = true;
        for (const json& entry : entries) {
            // An image that was listed without a name is listed with one now.
            const bool again = is_unnamed(old) && old.value("digest", "") == manifest.digest.text();
            if (again || same_name(old, entry)) stays = false;
        }
        if (stays) kept.push_back(std::move(old));
    }
    for (json& entry : entries) kept.push_back(std::move(entry));
    index["manifests"] = std::move(kept);
}

}  // namespace imgbuild::registry
