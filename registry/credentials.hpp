// Who we are to a registry. Values of this type never go into messages, events, keys or command lines.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

namespace imgbuild::registry {

struct Credentials {
    std::string username;
    std::string password;
    /// An OAuth2 refresh token in place of user and password; docker calls it identity token.
    std::string identity_token;
    /// A bearer token that is sent as it is.
    std::string registry_token;
    /// Where they come from, for messages: "'/root/.docker/config.json'".
    std::string found_in;
};

/// Asked when a registry wants to know, and not before. `domain` is a reference's ("docker.io", "quay.io"), `path` that
/// of the repository ("library/busybox"; may be empty). Nothing: we are nobody there. May throw RegistryError
/// ("registry.bad-auth-file", "registry.credential-helper"), Cancelled. Called from several threads.
using CredentialSource = std::function<std::optional<Credentials>(const std::string& domain, const std::string& path,
                                                                  const std::stop_token& stop)>;

}  // namespace imgbuild::registry
