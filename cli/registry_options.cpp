#include "cli/registry_options.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>

namespace imgbuild::cli {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"--insecure-registry", "--authfile", "--cert-dir", "--retry",
                                                    "--retry-delay"};

}  // namespace

void add_registry_options(CLI::App& app, RegistryOptions& options) {
    app.add_option("--insecure-registry", options.plain_http, "Registry to speak to without TLS")
        ->type_name("HOST[:PORT]")
        ->allow_extra_args(false);
    app.add_option("--authfile", options.auth_file,
                   "File with credentials (default: $REGISTRY_AUTH_FILE, or the files of docker and podman)")
        ->type_name("FILE")
        ->take_last();
    app.add_option("--cert-dir", options.certificates,
                   "Directory of CAs (*.crt) and client certificates (*.cert, *.key) for all registries")
        ->type_name("DIR")
        ->take_last();
    app.add_option("--retry", options.retries, "How often to try again what a registry or the network failed at")
        ->type_name("TIMES")
        ->take_last()
        ->check(CLI::Range(0, 100))
        ->capture_default_str();
    app.add_option("--retry-delay", options.retry_delay,
                   "Seconds before the first of these tries; each waits twice as long")
        ->type_name("SECONDS")
        ->take_last()
        ->check(CLI::Range(0.0, 3600.0))
        ->capture_default_str();
}

bool is_registry_option(const std::string& arg) {
    const std::string_view name = std::string_view(arg).substr(0, arg.find('='));
    return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

}  // namespace imgbuild::cli
