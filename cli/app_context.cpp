#include "cli/app_context.hpp"

#include "util/fd.hpp"

#include <unistd.h>
#include <cstdlib>

namespace imgbuild::cli {

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
    if (!store_) store_ = layers::Store::open(store_root());
    return *store_;
}

bool AppContext::has_store() const {
    return store_ || ::access(store_root().c_str(), F_OK) == 0;
}

registry::RegistryClient& AppContext::registry() {
    if (!client_) {
        transport_ = std::make_unique<registry::CurlTransport>();
        registry::ClientOptions options;
        options.plain_http = plain_http;
        client_ = std::make_unique<registry::RegistryClient>(*transport_, std::move(options));
    }
    return *client_;
}

void print_result(const std::string& text) {
    util::write_all(STDOUT_FILENO, text, "standard output");
}

}  // namespace imgbuild::cli
