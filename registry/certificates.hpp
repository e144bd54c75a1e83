// Certificates of registries beyond the system's, in the directories of docker and podman:
//
//     /etc/docker/certs.d/registry.example:5000/   ca.crt                      CAs to trust there as well
//                                                  client.cert, client.key     what to show of ourselves
//
// Looked for in /etc/containers/certs.d, /etc/docker/certs.d, and containers/certs.d and docker/certs.d below
// $XDG_CONFIG_HOME or ~/.config; or, with --cert-dir, in that one directory for all registries.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace imgbuild::registry {

/// What one server needs.
struct Certificates {
    /// CAs in PEM, one after the other; empty for the system's alone.
    std::string authorities;
    /// Files; both or neither are empty.
    std::string client_certificate;
    std::string client_key;
    /// The client's are for the registry itself, and for no server that it sends us to.
    bool for_registry_only = false;
};

/// Immutable; reads the files at each question. May be used from several threads.
class CertificateDirectories {
public:
    /// `parents` hold a directory per host.
    explicit CertificateDirectories(std::vector<std::string> parents) : parents_(std::move(parents)) {}
    /// One directory for every host. Throws RegistryError ("registry.bad-certificates") if there is none.
    static CertificateDirectories for_all_hosts(const std::string& directory);
    /// The usual parents.
    static std::vector<std::string> usual_places(
        const std::function<std::optional<std::string>(const char*)>& environment);

    /// `authority` is "host" or "host:port", as in a URL. Throws RegistryError ("registry.bad-certificates") for a
    /// certificate without key and the reverse; IoError.
    Certificates find(const std::string& authority) const;

private:
    std::vector<std::string> parents_;
    std::string for_all_;
};

}  // namespace imgbuild::registry
