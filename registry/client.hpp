// Pulling from and pushing to registries. Spec: distribution-spec v1.1.
//
//     CurlTransport transport;
//     RegistryClient client(transport, {});
//     const oci::ResolvedImage image = client.resolve(Reference::parse("127.0.0.1:5000/base:1"), Platform::host(),
//     stop); Repository repository(client, reference); repository.fetch(image.manifest.layers[0], sink, stop);
//
// Everything that arrives is verified against the digest it was asked for. A name by tag has no digest to verify, so
// the first answer fixes it, and a Docker-Content-Digest that says otherwise is an error.
//
// Transient failures (connection broken, 408, 429, 5xx) are tried again by RetryPolicy; a download goes on where it
// broke. Plain HTTP is spoken to loopback hosts and to those in `plain_http` only; all others get HTTPS with verified
// certificates. A loopback registry or one of `plain_http` that turns out to speak TLS is spoken to with TLS from then
// on, and its certificate is verified. A 401 is answered with what `credentials` knows, or anonymously where a registry
// has tokens for everybody (authorizer.hpp).
//
// Threads: all objects may be used from several threads at once. A client outlives its repositories.
#pragma once

#include <imgbuild/error.hpp>
#include <imgbuild/platform.hpp>
#include <imgbuild/reference.hpp>

#include "oci/resolve.hpp"
#include "registry/authorizer.hpp"
#include "registry/credentials.hpp"
#include "registry/http.hpp"
#include "registry/registry_errors.hpp"
#include "registry/retry.hpp"
#include "registry/url.hpp"

#include <functional>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

namespace imgbuild::registry {

struct ClientOptions {
    /// Registries ("host" or "host:port") that are spoken to without TLS although they are not on this machine.
    std::set<std::string, std::less<>> plain_http;
    RetryPolicy retry;
    /// Null: we are nobody everywhere.
    CredentialSource credentials = {};
};

enum class Accept404 { no, yes };

class RegistryClient {
public:
    /// The transport must outlive the client.
    RegistryClient(HttpTransport& transport, ClientOptions options);

    /// The image that `reference` names, for `wanted` if it is an index. With tag and digest the digest counts.
    /// Throws RegistryError, CorruptData, Cancelled.
    oci::ResolvedImage resolve(const Reference& reference, const Platform& wanted, std::stop_token stop);

    /// Where the API of `domain` is: "https://registry.example/v2/". Docker Hub's is not at docker.io.
    Url api(std::string_view domain) const;
    /// One exchange, without retries. Redirects are followed (at most five, for requests without a body), and
    /// Authorization goes to no other origin than the registry's. A 401 is answered and the request made again, except
    /// that one with a body becomes a TransientRefusal, since the body is spent: another try has the new token.
    /// Answers below 300 are returned, with Accept404::yes a 404 as well; the others become RegistryError (see
    /// throw_refusal()).
    HttpResponse exchange(HttpRequest request, const Purpose& purpose, Accept404 accept_404, std::stop_token stop);
    /// Where an answer to `base` sends us. Throws RegistryError ("registry.insecure-redirect") if that would give up
    /// TLS.
    Url follow(const Url& base, std::string_view location) const;

    /// For what is fetched by URL and is no registry's.
    HttpTransport& transport() const { return transport_; }
    const RetryPolicy& retry() const { return options_.retry; }

    /// Asks the registry who we are to it: credentials are fetched, sent and accepted, or it wants none. Throws
    /// RegistryError.
    void check_access(const std::string& domain, std::stop_token stop);

private:
    /// The last of a chain of redirects, whatever its status, and who gave it.
    struct Answer {
        HttpResponse response;
        Url from;
        /// The Authorization that `from` saw.
        std::string authorization;
    };

    bool may_be_plain(const Url& url) const;
    bool learn_scheme(const Url& asked, const Purpose& purpose, std::stop_token stop);
    Answer send(HttpRequest request, const Purpose& purpose, std::stop_token stop);

    HttpTransport& transport_;
    ClientOptions options_;
    Authorizer authorizer_;
    mutable std::mutex mutex_;
    /// Registries that could be plain and have TLS.
    std::set<std::string, std::less<>> with_tls_;
};

}  // namespace imgbuild::registry
