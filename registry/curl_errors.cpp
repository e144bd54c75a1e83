#include "registry/curl_errors.hpp"

#include <imgbuild/error.hpp>

#include "registry/url.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <string>

namespace imgbuild::registry {
namespace {

using Retry = RegistryError::Retry;

struct Meaning {
    std::string_view code;
    std::string_view problem;
    std::string hint;
    Retry retry;
};

std::string refused_hint(std::string_view host) {
    if (is_loopback(host)) return "is a registry running on this machine, on this port?";
    return "check host and port; behind a proxy, set HTTPS_PROXY";
}

// libcurl has one code for a server without TLS and for a connection that breaks while TLS is being agreed on.
bool broke_in_between(std::string_view detail) {
    return detail.contains("SSL_ERROR_SYSCALL") || detail.contains("reset by peer");
}

Meaning meaning_of(CURLcode code, std::string_view host, std::string_view detail) {
    switch (code) {
        case CURLE_COULDNT_RESOLVE_HOST:
            return {"registry.unknown-host", "the host's name cannot be resolved",
                    "check the spelling of the name and this machine's DNS settings", Retry::no};
        case CURLE_COULDNT_RESOLVE_PROXY:
            return {"registry.unknown-host", "the proxy's name cannot be resolved",
                    "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY", Retry::no};
        case CURLE_COULDNT_CONNECT:
            return {"registry.connection-refused", "no connection", refused_hint(host), Retry::no};
        case CURLE_OPERATION_TIMEDOUT:
            return {"registry.timeout", "it took too long", "check the network, a firewall or proxy on the way",
                    Retry::yes};
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_ISSUER_ERROR:
            return {"registry.untrusted-certificate", "the server's certificate is not trusted",
                    "put the registry's CA certificate into /etc/containers/certs.d/HOST:PORT/ca.crt or a --cert-dir",
                    Retry::no};
        case CURLE_SSL_CACERT_BADFILE:
            return {"registry.tls", "the CA certificates cannot be read",
                    "install CA certificates (Debian: ca-certificates)", Retry::no};
        case CURLE_SSL_CONNECT_ERROR:
            if (broke_in_between(detail)) {
                return {"registry.connection-broken", "the connection broke", "try again later", Retry::yes};
            }
            [[fallthrough]];
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
            return {"registry.tls", "TLS failed",
                    "a registry that speaks plain HTTP must be allowed as such, unless it is on this machine",
                    Retry::no};
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
            return {"registry.bad-url", "the URL cannot be used", {}, Retry::no};
        default:
            return {"registry.connection-broken", "the connection broke", "try again later", Retry::yes};
    }
}

}  // namespace

void throw_curl_error(CURLcode code, std::string_view attempt, std::string_view host, std::string_view detail) {
    const Meaning meaning = meaning_of(code, host, detail);
    throw RegistryError({.code = std::string(meaning.code),
                         .message = fmt::format("{}: {} ({})", attempt, meaning.problem, detail),
                         .hint = meaning.hint,
                         .where = {}},
                        0, meaning.retry);
}

}  // namespace imgbuild::registry
