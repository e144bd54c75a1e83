// What commands share: where the store is, how to print, and when to stop.
#pragma once

#include "builder/sandbox/sandbox.hpp"
#include "cli/registry_options.hpp"
#include "layers/store.hpp"
#include "registry/client.hpp"
#include "registry/credential_search.hpp"
#include "registry/curl_transport.hpp"

#include <sys/types.h>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace imgbuild::cli {

/// Made once by main(), handed to every command.
class AppContext {
public:
    explicit AppContext(std::stop_token stop);

    /// --root; empty: Store::default_root().
    std::string root;
    RegistryOptions registry_options;
    /// --error-format; main() has read it by itself before.
    std::string error_format = "text";
    /// --snapshotter
    sandbox::SnapshotterChoice snapshotter = sandbox::SnapshotterChoice::automatic;

    /// Commands that do without the store say so while the command line is read. All others turn the process into a
    /// worker first (sandbox::enter_worker), since the store's trees have files of many owners.
    bool uses_store = true;
    /// What a command has to do while this process has one thread, in place of or after that. Empty: nothing.
    std::function<void()> before_threads;

    std::stop_token stop() const { return stop_; }
    /// Absolute, or relative to the working directory. There may be none yet.
    std::string store_root() const;
    /// $IMGBUILD_STORE_LIMIT in bytes; 0: none. Throws UsageError.
    std::uint64_t store_limit() const;
    /// Opened at the first call.
    layers::Store& store();
    /// Is there a store already? store() makes one.
    bool has_store() const;
    registry::RegistryClient& registry();
    /// One that knows these credentials and no others.
    registry::RegistryClient& registry_with(const registry::Credentials& credentials);
    /// Where credentials are looked for and kept.
    registry::CredentialSearch& credentials();
    /// One that asks this source; registry() is it from now on.
    registry::RegistryClient& make_client(registry::CredentialSource credentials);
    static std::optional<std::string> environment(const char* name);

private:
    std::stop_token stop_;
    /// The caller's; a worker has another one.
    uid_t uid_;
    std::shared_ptr<layers::Store> store_;
    std::unique_ptr<registry::CredentialSearch> credentials_;
    std::unique_ptr<registry::CurlTransport> transport_;
    std::unique_ptr<registry::RegistryClient> client_;
};

/// Writes a result. Everything else goes to standard error.
void print_result(const std::string& text);

}  // namespace imgbuild::cli
