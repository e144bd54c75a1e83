// Where credentials are looked for, in the order of docker and podman.
//
//   1. --authfile, else $REGISTRY_AUTH_FILE: this file alone, and it must be there
//   2. $DOCKER_AUTH_CONFIG: the text of such a file
//   3. $DOCKER_CONFIG/config.json, else ~/.docker/config.json
//   4. $XDG_RUNTIME_DIR/containers/auth.json
//   5. $XDG_CONFIG_HOME/containers/auth.json, else ~/.config/containers/auth.json
//   6. ~/.dockercfg, docker's format before 2015
//
// The first that knows the registry counts. Within one: the helper of credHelpers for the longest key, credsStore, the
// longest key of auths; a helper that has nothing passes the question on.
#pragma once

#include "registry/auth_file.hpp"
#include "registry/credentials.hpp"

#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace imgbuild::registry {

/// An environment variable's value; nothing if it is not set.
using Environment = std::function<std::optional<std::string>(const char* name)>;

/// Reads the files when it is first asked, each once. May be used from several threads.
class CredentialSearch {
public:
    /// `auth_file` is --authfile; empty if it was not given.
    CredentialSearch(Environment environment, std::string auth_file)
        : environment_(std::move(environment)), auth_file_(std::move(auth_file)) {}

    /// As CredentialSource. Throws IoError as well, for a file that cannot be read.
    std::optional<Credentials> find(const std::string& domain, const std::string& path, const std::stop_token& stop);

    /// The file that login and logout change. Throws RegistryError ("registry.bad-auth-file") if there is no home.
    std::string file_to_change() const;

private:
    void load();
    void load_file(const std::string& path);

    Environment environment_;
    std::string auth_file_;
    std::once_flag loaded_;
    std::vector<AuthFile> files_;
};

}  // namespace imgbuild::registry
