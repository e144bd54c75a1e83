#include "cli/app_context.hpp"

#include "cli/store_filters.hpp"
#include "util/fd.hpp"

#include <unistd.h>
#include <cstdlib>

namespace imgbuild::cli {
namespace {

constexpr const char* kLimitVariable = "IMGBUILD_STORE_LIMIT";

}  // namespace

AppContext::AppContext(std::stop_token stop) : stop_(std::move(stop)), uid_(::geteuid()) {}

std::optional<std::string> AppContext::environment(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return value;
}

std::string AppContext::store_root() const {
    return root.empty() ? layers::Store::default_root(environment, uid_) : root;
}

layers::Store& AppContext::store() {
    if (!store_) store_ = layers::Store::open(store_root(), {.limit = store_limit()});
    return *store_;
}

std::uint64_t AppContext::store_limit() const {
    const std::string text = environment(kLimitVariable).value_or("");
    return text.empty() ? 0 : parse_store_size(kLimitVariable, text);
}

bool AppContext::has_store() const {
    return store_ || ::access(store_root().c_str(), F_OK) == 0;
}

registry::CredentialSearch& AppContext::credentials() {
    if (!credentials_) {
        credentials_ = std::make_unique<registry::CredentialSearch>(environment, registry_options.auth_file);
    }
    return *credentials_;
}

registry::RegistryClient& AppContext::make_client(registry::CredentialSource credentials) {
    using registry::CertificateDirectories;
    auto certificates = std::make_shared<CertificateDirectories>(
        registry_options.certificates.empty()
            ? CertificateDirectories(CertificateDirectories::usual_places(environment))
            : CertificateDirectories::for_all_hosts(registry_options.certificates));
    registry::CurlOptions curl;
    curl.ca_file = environment("SSL_CERT_FILE").value_or("");
    curl.ca_directory = environment("SSL_CERT_DIR").value_or("");
    curl.certificates = [certificates](const std::string& authority) { return certificates->find(authority); };
    transport_ = std::make_unique<registry::CurlTransport>(std::move(curl));
    registry::ClientOptions options;
    options.plain_http = registry_options.plain_http;
    options.retry.attempts = registry_options.retries + 1;
    options.retry.first_delay =
        std::chrono::milliseconds(static_cast<std::int64_t>(registry_options.retry_delay * 1000));
    options.credentials = std::move(credentials);
    client_ = std::make_unique<registry::RegistryClient>(*transport_, std::move(options));
    return *client_;
}

registry::RegistryClient& AppContext::registry() {
    if (client_) return *client_;
    registry::CredentialSearch& search = credentials();
    return make_client([&search](const std::string& domain, const std::string& path, const std::stop_token& stop) {
        return search.find(domain, path, stop);
    });
}

registry::RegistryClient& AppContext::registry_with(const registry::Credentials& credentials) {
    return make_client([credentials](const std::string&, const std::string&, const std::stop_token&) {
        return std::optional(credentials);
    });
}

void print_result(const std::string& text) {
    util::write_all(STDOUT_FILENO, text, "standard output");
}

}  // namespace imgbuild::cli
