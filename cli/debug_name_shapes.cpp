#include <imgbuild/error.hpp>

#include "cli/debug_shapes.hpp"
#include "oci/platform_parts.hpp"
#include "oci/reference_parts.hpp"
#include "parser/git_reference.hpp"

#include <nlohmann/json.hpp>

namespace imgbuild::cli {
namespace {

using nlohmann::json;

json parts_shape(const oci::ReferenceParts& parts) {
    return {{"domain", parts.domain}, {"path", parts.path},     {"name", parts.name()},
            {"tag", parts.tag},       {"digest", parts.digest}, {"string", parts.text()}};
}

json normalized_shape(const oci::ReferenceParts& parts) {
    json result = parts_shape(parts);
    result["familiar"] = parts.familiar();
    result["familiar_name"] = parts.familiar_name();
    result["with_default_tag"] = parts.text_with_default_tag();
    return result;
}

/// Each reading fails by itself: 64 hexadecimal digits are a name by the grammar, but an id to people.
template <class Read>
json reading(const Read& read) {
    try {
        return read();
    } catch (const UsageError& error) {
        return {{"error", error.message()}};
    }
}

}  // namespace

json reference_shape(std::string_view text) {
    return {{"parse", reading([text] { return parts_shape(oci::parse_reference_strictly(text)); })},
            {"normalized", reading([text] { return normalized_shape(oci::parse_reference_normalized(text)); })}};
}

json platform_shape(std::string_view text, const Platform& host) {
    const oci::PlatformParts parts = oci::parse_platform_parts(text, host);
    return {{"platform",
             {{"os", parts.os},
              {"architecture", parts.architecture},
              {"variant", parts.variant},
              {"os.version", parts.os_version},
              {"os.features", parts.os_features}}},
            {"format", parts.text()},
            {"format_all", parts.text_with_version()},
            {"normalized", parts.normalized().text_with_version()}};
}

json git_reference_shape(std::string_view text) {
    const std::optional<parser::GitReference> reference = parser::parse_git_reference(text);
    if (!reference) {
        return nullptr;
    }
    json result{{"Remote", reference->remote},
                {"ShortName", reference->short_name},
                {"Ref", reference->ref},
                {"SubDir", reference->subdirectory},
                {"Checksum", reference->checksum},
                {"MTime", reference->mtime},
                {"FetchByCommit", reference->fetch_by_commit},
                {"UnencryptedTCP", reference->unencrypted},
                {"IndistinguishableFromLocal", reference->looks_local}};
    if (reference->keep_git_dir) {
        result["KeepGitDir"] = *reference->keep_git_dir;
    }
    if (reference->submodules) {
        result["Submodules"] = *reference->submodules;
    }
    return result;
}

}  // namespace imgbuild::cli
