// The files in which docker, podman and their kin keep credentials: config.json and auth.json.
//
//     {"auths": {"quay.io/team": {"auth": "dXNlcjpwYXNz"}, "ghcr.io": {"identitytoken": "…"}},
//      "credHelpers": {"123.dkr.ecr.eu-west-1.amazonaws.com": "ecr-login"},
//      "credsStore": "pass"}
//
// A key may name a registry or a part of it ("quay.io/team", "quay.io/team/app"); the longest that fits counts. docker
// writes keys as URLs ("https://index.docker.io/v1/" is Docker Hub), which mean their host. Pure, except that files are
// read by whoever calls.
#pragma once

#include "registry/credentials.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::registry {

inline constexpr std::size_t kMaxAuthFileBytes = 4U << 20;
/// docker's name for Docker Hub.
inline constexpr std::string_view kDockerHubKey = "https://index.docker.io/v1/";

struct AuthFile {
    /// By key, in normal form (see normal_auth_key()). Entries without any credentials are left out: docker writes
    /// them for what is in credsStore.
    std::map<std::string, Credentials, std::less<>> auths;
    struct Helper {
        /// The key as it is in the file; this is what the helper is asked for.
        std::string key;
        /// "pass" for the program docker-credential-pass. Empty: this registry's credentials are in the file, whatever
        /// `store` says.
        std::string name;
    };
    /// By key in normal form.
    std::map<std::string, Helper, std::less<>> helpers;
    /// The helper for everything; empty if there is none.
    std::string store;
    /// For messages: "'/root/.docker/config.json'", "$DOCKER_AUTH_CONFIG".
    std::string name;
};

/// `name` as in AuthFile. Throws RegistryError ("registry.bad-auth-file"), which never quotes the text.
AuthFile parse_auth_file(std::string_view text, std::string name);
/// ~/.dockercfg, docker's format before 2015: the content of "auths" alone.
AuthFile parse_old_auth_file(std::string_view text, std::string name);

/// "https://index.docker.io/v1/" → "docker.io", "http://host:5000/v2/" → "host:5000", "quay.io/team/" → "quay.io/team".
std::string normal_auth_key(std::string_view key);

/// The value for the longest key that is `domain`/`path` or a whole part of its beginning. Null if there is none.
template <class Value>
const Value* find_longest(const std::map<std::string, Value, std::less<>>& entries, std::string_view domain,
                          std::string_view path) {
    std::string key(domain);
    if (!path.empty()) key += "/" + std::string(path);
    for (;;) {
        if (const auto found = entries.find(key); found != entries.end()) return &found->second;
        const std::size_t slash = key.rfind('/');
        if (slash == std::string::npos) return nullptr;
        key.resize(slash);
    }
}

}  // namespace imgbuild::registry
