// Answers what registries ask for in a 401: basic credentials, or a bearer token from a token server. Specs: RFC 7617;
// distribution's "token authentication" and "OAuth2 token authentication".
//
// Nothing is sent before somebody asks. What was learned (how a registry wants it, tokens by scope until shortly before
// they expire) is kept for the next request. Credentials go to the registry's own origin, by the client's care, and
// to the token server that the registry names, which must have TLS if the registry has.
//
// Threads: may be used from several at once; who asks for a token that another thread is fetching waits for that one.
#pragma once

#include "registry/challenge.hpp"
#include "registry/credentials.hpp"
#include "registry/http.hpp"
#include "registry/registry_errors.hpp"
#include "registry/url.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

namespace imgbuild::registry {

class Authorizer {
public:
    /// Makes an exchange with a token server: redirects as for registries, refusals thrown.
    using Send = std::function<HttpResponse(HttpRequest request, const Purpose& purpose, std::stop_token stop)>;
    /// Where a registry's answer leads; throws for what would give up TLS. RegistryClient::follow().
    using Follow = std::function<Url(const Url& base, std::string_view location)>;

    Authorizer(CredentialSource credentials, Send send, Follow follow)
        : credentials_(std::move(credentials)), send_(std::move(send)), follow_(std::move(follow)) {}

    /// The value of "Authorization" for a request; empty if none is needed as far as we know.
    std::string header(const Purpose& purpose);

    /// Learns from a 401 that `asked` got with the header `used` (empty: none). True: header() gives something else
    /// now. False: there is nothing more that we could say. Throws what the token server and the credentials' source
    /// throw.
    bool learn(const Purpose& purpose, const Url& asked, const HttpResponse& refusal, const std::string& used,
               std::stop_token stop);

    /// What to tell somebody whom the registry refused.
    std::string hint(const Purpose& purpose);

private:
    struct Token {
        std::string value;
        std::chrono::steady_clock::time_point expires;
    };
    /// What is known about one registry.
    struct Registry {
        std::mutex mutex;
        std::optional<Challenge> challenge;
        /// By scopes, joined by blanks.
        std::map<std::string, Token> tokens;
        /// By repository, since keys may name one.
        std::map<std::string, std::optional<Credentials>> credentials;
    };

    Registry& registry(const std::string& domain);
    const std::optional<Credentials>& credentials(Registry& known, const Purpose& purpose, const std::stop_token& stop);
    std::string header_locked(Registry& known, const Purpose& purpose, const std::stop_token& stop);
    Token fetch_token(Registry& known, const Purpose& purpose, const Url& asked, std::stop_token stop);

    CredentialSource credentials_;
    Send send_;
    Follow follow_;
    std::mutex mutex_;
    std::map<std::string, std::unique_ptr<Registry>> registries_;
};

}  // namespace imgbuild::registry
