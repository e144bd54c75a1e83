// The worker: the process in which a build runs, so that the program that embeds imgbuild keeps its own.
//
// Every call of this library that does something starts a worker (the program `imgbuild`), speaks to it over a socket
// pair, and returns when it has ended. The host program is never forked: it lends its memory to the child until that
// has executed the program (a few 100 µs, however large the host is). Its directory, signals, umask, locale and open
// descriptors do not reach the build. The worker is a child, of which the host gets a SIGCHLD; it may ignore that, and
// may wait for all its children: then only how a worker ended cannot be told. If the host dies, the worker and the
// steps of its build end as well; if the worker dies, the call throws WorkerFailed and the host goes on.
//
// Threads: calls share nothing. Any number of them may run at once, on any threads.
#pragma once

#include <imgbuild/error.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace imgbuild {

/// The worker process of a call cannot be started, ended without a result (killed, crashed), or speaks another protocol
/// than this library. Nothing is known to be wrong with the request. Code area: worker.
class WorkerFailed : public Error {
public:
    using Error::Error;
};

/// Who we are to a registry. Either user and password, or one of the tokens.
struct RegistryCredentials {
    std::string username;
    std::string password;
    /// An OAuth2 refresh token (docker's identity token).
    std::string identity_token;
    /// A bearer token that is sent as it is.
    std::string registry_token;
};

struct WorkerOptions {
    /// Path of the program `imgbuild`, of the same release as this library. Empty: the environment variable
    /// IMGBUILD_WORKER of this process, else the path at which the program was to be installed when the library was
    /// configured.
    std::string program;
    /// Directory of the store, absolute or relative to the current one. Empty: what the command line takes, namely
    /// $IMGBUILD_ROOT, else /var/lib/imgbuild for root, else a directory of the user's.
    std::string store;
    /// Registries ("host" or "host:port") that are spoken to without TLS although they are not on this machine.
    std::set<std::string> insecure_registries;
    /// Asked when a registry wants to know who we are: its domain ("quay.io"), and the path of the repository
    /// ("team/app"; may be empty). Nothing, or no function: what docker's and podman's files and helpers know counts.
    /// Called on the calling thread. What it throws ends the call: an Error as it is, anything else as an Error with
    /// the code "internal.unexpected".
    std::function<std::optional<RegistryCredentials>(const std::string& domain, const std::string& path)> credentials;
    /// The worker's whole environment, name → value: where HOME is, proxies, $DOCKER_CONFIG. Nothing: this process's
    /// own, as it is when the call begins; then no other thread may change the environment at that moment.
    std::optional<std::map<std::string, std::string>> environment;
    /// How long a worker may take to end once it was asked to stop. After that it is killed, and its steps with it.
    std::chrono::milliseconds grace{std::chrono::seconds(30)};
};

}  // namespace imgbuild
