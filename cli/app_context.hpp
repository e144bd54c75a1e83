// What commands share: where the store is, how to print, and when to stop.
#pragma once

#include "layers/store.hpp"
#include "registry/client.hpp"
#include "registry/curl_transport.hpp"

#include <sys/types.h>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

namespace imgbuild::cli {

/// Made once by main(), handed to every command.
class AppContext {
public:
    explicit AppContext(std::stop_token stop);

    /// --root; empty: Store::default_root().
    std::string root;
    /// --insecure-registry: hosts that are spoken to without TLS.
    std::set<std::string, std::less<>> plain_http;

    /// Commands that do without the store say so while the command line is read. All others turn the process into a
    /// worker first (sandbox::enter_worker), since the store's trees have files of many owners.
    bool uses_store = true;

    std::stop_token stop() const { return stop_; }
    /// Opened at the first call.
    layers::Store& store();
    /// Is there a store already? store() makes one.
    bool has_store() const;
    registry::RegistryClient& registry();
    static std::optional<std::string> environment(const char* name);

private:
    std::string store_root() const;

    std::stop_token stop_;
    /// The caller's; a worker has another one.
    uid_t uid_;
    std::shared_ptr<layers::Store> store_;
    std::unique_ptr<registry::CurlTransport> transport_;
    std::unique_ptr<registry::RegistryClient> client_;
};

/// Writes a result. Everything else goes to standard error.
void print_result(const std::string& text);

}  // namespace imgbuild::cli
