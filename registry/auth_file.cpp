#include "registry/auth_file.hpp"

#include <imgbuild/error.hpp>

#include "oci/json_object.hpp"
#include "registry/base64.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace imgbuild::registry {
namespace {

using nlohmann::json;

constexpr std::string_view kCode = "registry.bad-auth-file";

// The file is the user's, but what is wrong with it stands in the way to a registry.
template <class Body>
auto as_registry_error(Body&& body) {
    try {
        return body();
    } catch (const CorruptData& error) {
        throw RegistryError(
            {.code = std::string(kCode),
             .message = error.message(),
             .hint =
                 "it must look like {\"auths\": {\"HOST\": {\"auth\": \"…\"}}}; `imgbuild login` writes such a file",
             .where = {}},
            0, RegistryError::Retry::no);
    }
}

bool is_helper_name(std::string_view name) {
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               std::string_view("-_.").contains(c);
    });
}

std::string checked_helper(const oci::JsonObject& file, std::string name) {
    if (!is_helper_name(name)) {
        file.fail(fmt::format("{} cannot be the name of a credential helper", util::quote(name)));
    }
    return name;
}

// docker takes an empty file for one without entries.
json parse_document(std::string_view text, const std::string& name) {
    return util::trim(text).empty() ? json::object() : oci::parse_json(text, kMaxAuthFileBytes, name, kCode);
}

// "auth" is base64 of "user:password"; both members may also stand in the clear.
Credentials parse_entry(const json& value, std::string_view key, const std::string& name) {
    oci::JsonObject entry(value, fmt::format("the entry {} of {}", util::quote(key), name), std::string(kCode));
    Credentials out{.username = entry.text("username"),
                    .password = entry.text("password"),
                    .identity_token = entry.text("identitytoken"),
                    .registry_token = entry.text("registrytoken"),
                    .found_in = name};
    const std::string auth = entry.text("auth");
    if (auth.empty()) return out;
    const auto decoded = base64_decode(auth);
    if (!decoded) entry.fail("\"auth\" is not base64");
    const std::size_t colon = decoded->find(':');
    if (colon == std::string::npos) entry.fail("\"auth\" is not base64 of USER:PASSWORD");
    out.username = decoded->substr(0, colon);
    out.password = decoded->substr(colon + 1);
    // Some old programs padded it with zero bytes; docker drops them as well.
    out.password.resize(out.password.find_last_not_of('\0') + 1);
    return out;
}

// How far a key is from what docker itself writes; of several keys for one registry the nearest counts. Beside its own
// key for Docker Hub docker keeps ".../v1/access-token" and ".../v1/refresh-token", which are no passwords.
int distance(std::string_view key) {
    if (key == kDockerHubKey || key == normal_auth_key(key)) return 0;
    const std::size_t scheme = key.find("://");
    if (scheme == std::string_view::npos) return 1;
    std::string_view path = key.substr(scheme + 3);
    path.remove_prefix(std::min(path.find('/'), path.size()));
    while (path.ends_with('/')) path.remove_suffix(1);
    return path.empty() || path == "/v1" || path == "/v2" ? 1 : 2;
}

void add_entries(const json& auths, AuthFile& out) {
    std::map<std::string, int> distances;
    for (const auto& [key, value] : auths.items()) {
        if (value.is_null()) continue;
        Credentials entry = parse_entry(value, key, out.name);
        if (entry.username.empty() && entry.identity_token.empty() && entry.registry_token.empty()) continue;
        const std::string normal = normal_auth_key(key);
        const auto [at, is_new] = distances.emplace(normal, distance(key));
        if (!is_new && distance(key) > at->second) continue;
        at->second = distance(key);
        out.auths.insert_or_assign(normal, std::move(entry));
    }
}

}  // namespace

std::string normal_auth_key(std::string_view key) {
    bool is_url = false;
    for (const std::string_view scheme : {"https://", "http://"}) {
        if (!key.starts_with(scheme)) continue;
        key.remove_prefix(scheme.size());
        is_url = true;
    }
    while (key.ends_with('/')) key.remove_suffix(1);
    for (const std::string_view version : {"/v1", "/v2"}) {
        if (key.ends_with(version)) key.remove_suffix(version.size());
    }
    if (is_url) key = key.substr(0, key.find('/'));
    const std::size_t slash = std::min(key.find('/'), key.size());
    std::string host = util::to_lower(key.substr(0, slash));
    if (host == "index.docker.io" || host == "registry-1.docker.io") host = "docker.io";
    return host + std::string(key.substr(slash));
}

AuthFile parse_auth_file(std::string_view text, std::string name) {
    return as_registry_error([&] {
        const json document = parse_document(text, name);
        oci::JsonObject file(document, name, std::string(kCode));
        AuthFile out;
        out.name = std::move(name);
        if (const json* auths = file.object("auths")) add_entries(*auths, out);
        for (auto& [key, helper] : file.string_map("credHelpers")) {
            const bool none = helper.empty();
            out.helpers.insert_or_assign(
                normal_auth_key(key),
                AuthFile::Helper{.key = key, .name = none ? std::string() : checked_helper(file, helper)});
        }
        if (const std::string store = file.text("credsStore"); !store.empty()) out.store = checked_helper(file, store);
        return out;
    });
}

AuthFile parse_old_auth_file(std::string_view text, std::string name) {
    return as_registry_error([&] {
        const json document = parse_document(text, name);
        static_cast<void>(oci::JsonObject(document, name, std::string(kCode)));
        AuthFile out;
        out.name = std::move(name);
        add_entries(document, out);
        return out;
    });
}

}  // namespace imgbuild::registry
