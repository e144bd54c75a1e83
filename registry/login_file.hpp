// Changing a file of credentials (auth_file.hpp): what `imgbuild login` and `logout` do to it.
//
// What is in the file and not ours stays: other members, other registries. It is replaced as a whole, under a lock,
// with mode 0600. If the file sends a registry's credentials to a helper, they go there and the file keeps an empty
// entry, as docker has it.
#pragma once

#include "registry/credentials.hpp"

#include <stop_token>
#include <string>

namespace imgbuild::registry {

/// Where credentials went, for people: "'/root/.docker/config.json'", "credential helper 'pass'".
/// Throws RegistryError ("registry.bad-auth-file", "registry.credential-helper"), IoError, Cancelled.
std::string remember_login(const std::string& path, const std::string& domain, const Credentials& credentials,
                           const std::stop_token& stop);
/// False if there was nothing to forget.
bool forget_login(const std::string& path, const std::string& domain, const std::stop_token& stop);

}  // namespace imgbuild::registry
