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
// Transient failures (connection broken, 429, 5xx) are tried again by RetryPolicy; a download goes on where it broke.
// Plain HTTP is spoken to loopback hosts and to those in `plain_http` only; all others get HTTPS with verified
// certificates. Credentials are not supported yet: a 401 is "registry.unauthorized".
//
// Threads: all objects may be used from several threads at once. A client outlives its repositories.
#pragma once

#include <imgbuild/error.hpp>
#include <imgbuild/platform.hpp>
#include <imgbuild/reference.hpp>

#include "oci/blobs.hpp"
#include "oci/resolve.hpp"
#include "registry/http.hpp"
#include "registry/retry.hpp"
#include "registry/url.hpp"

#include <functional>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

namespace imgbuild::registry {

struct ClientOptions {
    /// Registries ("host" or "host:port") that are spoken to without TLS although they are not on this machine.
    std::set<std::string, std::less<>> plain_http;
    RetryPolicy retry;
};

class RegistryClient {
public:
    /// The transport must outlive the client.
    RegistryClient(HttpTransport& transport, ClientOptions options)
        : transport_(transport), options_(std::move(options)) {}

    /// The image that `reference` names, for `wanted` if it is an index. With tag and digest the digest counts.
    /// Throws RegistryError, CorruptData, Cancelled.
    oci::ResolvedImage resolve(const Reference& reference, const Platform& wanted, std::stop_token stop);

    const ClientOptions& options() const { return options_; }

    /// What a request is for; errors are told in these words.
    struct Purpose {
        /// "pull", "push"
        std::string_view verb;
        /// "manifest 'latest'", "blob sha256:…"
        std::string what;
        /// The registry and repository as the user knows them.
        std::string domain;
        std::string path;
    };
    /// One exchange for Repository: redirects followed, no retries. Answers below 400 are returned; with `Accept404`
    /// a 404 is as well. Others become RegistryError.
    enum class Accept404 { no, yes };
    HttpResponse exchange(HttpRequest request, const Purpose& purpose, Accept404 accept_404, std::stop_token stop);
    /// Calls `attempt` until it succeeds, a failure is final, or the policy's tries are used up.
    HttpResponse with_retries(const std::function<HttpResponse()>& attempt, std::stop_token stop) const;

private:
    HttpTransport& transport_;
    ClientOptions options_;
};

/// One repository of one registry: where blobs and manifests are read and written.
class Repository final : public oci::BlobSource, public oci::BlobSink {
public:
    /// Only the reference's domain and path matter. `mount_from`: other repositories on the same registry that may
    /// already have the blobs to be pushed (a base image's); the registry then links them instead of receiving them.
    Repository(RegistryClient& client, const Reference& reference, std::vector<std::string> mount_from = {});

    void fetch(const oci::Descriptor& blob, util::Sink& into, std::stop_token stop) override;

    bool has(const oci::Descriptor& blob, std::stop_token stop) override;
    void put(const oci::Descriptor& blob, const oci::OpenContent& open, std::stop_token stop) override;
    void put_manifest(const oci::Descriptor& manifest, std::string_view bytes, std::span<const std::string> tags,
                      std::stop_token stop) override;

    /// A manifest or an index by tag ("latest") or digest ("sha256:…"), as it came; verified against the digest, if it
    /// was asked for by one. `media_type` of the descriptor is the document's.
    oci::Document fetch_manifest(std::string_view tag_or_digest, std::stop_token stop);

private:
    struct Upload;

    Url endpoint(std::string_view below) const;
    RegistryClient::Purpose purpose(std::string_view verb, std::string what) const;
    std::optional<Url> begin_upload(const oci::Descriptor& blob, std::stop_token stop);
    void put_tag(const oci::Descriptor& manifest, std::string_view bytes, std::string_view tag_or_digest,
                 std::stop_token stop);

    RegistryClient& client_;
    std::string domain_;
    std::string path_;
    std::vector<std::string> mount_from_;
    Url base_;
};

}  // namespace imgbuild::registry
