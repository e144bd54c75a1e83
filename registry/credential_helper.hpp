// Credential helpers: programs "docker-credential-NAME" that keep credentials in a keychain or fetch them from a cloud.
// Protocol: github.com/docker/docker-credential-helpers. Secrets travel on pipes, never on a command line.
#pragma once

#include "registry/credentials.hpp"

#include <optional>
#include <stop_token>
#include <string>

namespace imgbuild::registry {

/// Asks the helper for `server`; nothing if it says that it has none. `found_in` is left empty.
/// Throws RegistryError ("registry.credential-helper") if there is no such program, or it fails, or says nonsense;
/// its output is never quoted, since it may hold a secret. Cancelled.
std::optional<Credentials> ask_credential_helper(const std::string& name, const std::string& server,
                                                 const std::stop_token& stop);
/// Gives credentials to the helper, or has it forget them. Throws as above.
void store_in_credential_helper(const std::string& name, const std::string& server, const Credentials& credentials,
                                const std::stop_token& stop);
void erase_from_credential_helper(const std::string& name, const std::string& server, const std::stop_token& stop);

}  // namespace imgbuild::registry
