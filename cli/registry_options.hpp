// The options of every command that say how registries are spoken to.
#pragma once

#include <chrono>
#include <set>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace imgbuild::cli {

struct RegistryOptions {
    /// --insecure-registry: hosts that are spoken to without TLS.
    std::set<std::string, std::less<>> plain_http;
    /// --authfile, --cert-dir; empty for the usual places.
    std::string auth_file;
    std::string certificates;
    /// Tries after the first one.
    int retries = 4;
    /// Before the first of them, in seconds; it doubles from one to the next.
    double retry_delay = 1;
};

void add_registry_options(CLI::App& app, RegistryOptions& options);

/// Is `arg` one of these options (or "--option=value" of one)?
bool is_registry_option(const std::string& arg);

}  // namespace imgbuild::cli
