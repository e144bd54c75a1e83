#include "registry/credential_search.hpp"

#include <imgbuild/error.hpp>

#include "registry/credential_helper.hpp"
#include "util/fd.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <cerrno>

namespace imgbuild::registry {
namespace {

// Files in places where there need not be one.
std::optional<std::string> read_if_there(const std::string& path) {
    try {
        return util::read_file(path, kMaxAuthFileBytes);
    } catch (const IoError& error) {
        if (error.error_number() == ENOENT || error.error_number() == ENOTDIR) return std::nullopt;
        throw;
    }
}

// What helpers know a registry by.
std::string server_name(const std::string& domain) {
    return domain == "docker.io" ? std::string(kDockerHubKey) : domain;
}

std::optional<Credentials> from_helper(const std::string& helper, const std::string& server, const AuthFile& file,
                                       const std::stop_token& stop) {
    auto found = ask_credential_helper(helper, server, stop);
    if (found) found->found_in = fmt::format("credential helper {} of {}", util::quote(helper), file.name);
    return found;
}

std::optional<Credentials> look_in(const AuthFile& file, const std::string& domain, const std::string& path,
                                   const std::stop_token& stop) {
    if (const AuthFile::Helper* helper = find_longest(file.helpers, domain, path)) {
        if (!helper->name.empty()) {
            if (auto found = from_helper(helper->name, helper->key, file, stop)) return found;
        }
    } else if (!file.store.empty()) {
        if (auto found = from_helper(file.store, server_name(domain), file, stop)) return found;
    }
    const Credentials* entry = find_longest(file.auths, domain, path);
    return entry != nullptr ? std::optional(*entry) : std::nullopt;
}

// A directory from the environment, else one below the home; empty if there is neither.
std::string directory(const Environment& environment, const char* variable, std::string_view below_home) {
    if (std::string value = environment(variable).value_or(""); !value.empty()) return value;
    const std::string home = environment("HOME").value_or("");
    return home.empty() || below_home.empty() ? std::string() : fmt::format("{}/{}", home, below_home);
}

std::string docker_config(const Environment& environment) {
    const std::string folder = directory(environment, "DOCKER_CONFIG", ".docker");
    return folder.empty() ? std::string() : folder + "/config.json";
}

// The one file that somebody named, if somebody did.
std::string named_file(const Environment& environment, const std::string& option) {
    return option.empty() ? environment("REGISTRY_AUTH_FILE").value_or("") : option;
}

}  // namespace

void CredentialSearch::load_file(const std::string& path) {
    if (path.empty()) return;
    if (const auto text = read_if_there(path)) files_.push_back(parse_auth_file(*text, util::quote(path)));
}

void CredentialSearch::load() {
    files_.clear();
    if (const std::string only = named_file(environment_, auth_file_); !only.empty()) {
        const auto text = read_if_there(only);
        if (!text) {
            throw RegistryError({.code = "registry.bad-auth-file",
                                 .message = fmt::format("there is no file with credentials {}", util::quote(only)),
                                 .hint = "--authfile or $REGISTRY_AUTH_FILE names it",
                                 .where = {}},
                                0, RegistryError::Retry::no);
        }
        files_.push_back(parse_auth_file(*text, util::quote(only)));
        return;
    }
    if (const std::string text = environment_("DOCKER_AUTH_CONFIG").value_or(""); !text.empty()) {
        files_.push_back(parse_auth_file(text, "$DOCKER_AUTH_CONFIG"));
    }
    load_file(docker_config(environment_));
    for (const auto& [variable, below_home] :
         {std::pair("XDG_RUNTIME_DIR", ""), std::pair("XDG_CONFIG_HOME", ".config")}) {
        const std::string folder = directory(environment_, variable, below_home);
        if (!folder.empty()) load_file(folder + "/containers/auth.json");
    }
    const std::string home = environment_("HOME").value_or("");
    if (home.empty()) return;
    const std::string old = home + "/.dockercfg";
    if (const auto text = read_if_there(old)) files_.push_back(parse_old_auth_file(*text, util::quote(old)));
}

std::optional<Credentials> CredentialSearch::find(const std::string& domain, const std::string& path,
                                                  const std::stop_token& stop) {
    std::call_once(loaded_, [this] { load(); });
    for (const AuthFile& file : files_) {
        if (auto found = look_in(file, domain, path, stop)) return found;
    }
    return std::nullopt;
}

std::string CredentialSearch::file_to_change() const {
    std::string path = named_file(environment_, auth_file_);
    if (path.empty()) path = docker_config(environment_);
    if (!path.empty()) return path;
    throw RegistryError({.code = "registry.bad-auth-file",
                         .message = "there is no place for credentials: HOME is not set",
                         .hint = "name a file with --authfile",
                         .where = {}},
                        0, RegistryError::Retry::no);
}

}  // namespace imgbuild::registry
