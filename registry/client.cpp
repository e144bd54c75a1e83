#include "registry/client.hpp"

#include "registry/repository.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::registry {
namespace {

constexpr int kMaxRedirects = 5;

bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// A body has been read and cannot be sent twice; of the codes only 307 and 308 keep other methods than GET and HEAD.
bool may_follow(const HttpRequest& request, int status) {
    if (!is_redirect(status) || request.body != nullptr) return false;
    return request.method == "GET" || request.method == "HEAD" || status == 307 || status == 308;
}

[[noreturn]] void throw_redirect(std::string_view code, std::string message) {
    throw RegistryError({.code = std::string(code), .message = std::move(message), .hint = {}, .where = {}}, 0,
                        RegistryError::Retry::no);
}

}  // namespace

bool RegistryClient::may_be_plain(const Url& url) const {
    return is_loopback(url.host()) || options_.plain_http.contains(url.authority);
}

Url RegistryClient::api(std::string_view domain) const {
    Url url{.scheme = "https", .authority = std::string(domain), .path = "/v2/", .query = {}};
    if (domain == "docker.io") url.authority = "registry-1.docker.io";
    if (may_be_plain(url)) url.scheme = "http";
    return url;
}

Url RegistryClient::follow(const Url& base, std::string_view location) const {
    Url next = resolve_url(base, location);
    if (next.scheme == "http" && (base.scheme == "https" || !may_be_plain(next))) {
        throw_redirect("registry.insecure-redirect",
                       fmt::format("{} sends us to {}, which has no TLS", base.origin(), next.origin()));
    }
    return next;
}

HttpResponse RegistryClient::exchange(HttpRequest request, const Purpose& purpose, Accept404 accept_404,
                                      std::stop_token stop) {
    Url url = parse_url(request.url);
    for (int redirects = 0;; ++redirects) {
        // Credentials will be added here, and a 401 below answered with them, once; nothing else needs to know.
        HttpResponse response = transport_.send(request, stop);
        if (response.status < 300 || (response.status == 404 && accept_404 == Accept404::yes)) return response;
        const auto location = response.headers.find("Location");
        if (!location || !may_follow(request, response.status)) {
            throw_refusal(response, purpose, fmt::format("{} {}", request.method, url.redacted()));
        }
        if (redirects == kMaxRedirects) {
            throw_redirect("registry.too-many-redirects",
                           fmt::format("cannot {}: more than {} redirects", purpose.what, kMaxRedirects));
        }
        Url next = follow(url, *location);
        if (next.origin() != url.origin()) request.headers.remove("Authorization");
        url = std::move(next);
        request.url = url.text();
    }
}

oci::ResolvedImage RegistryClient::resolve(const Reference& reference, const Platform& wanted, std::stop_token stop) {
    return in_context(fmt::format("pulling {}", util::quote(reference.text())), [&] {
        Repository repository(*this, reference);
        const std::string name = reference.digest() ? reference.digest()->text() : reference.tag();
        const auto fetch_manifest = [&](const oci::Descriptor& manifest) {
            return repository.fetch_manifest(manifest.digest.text(), stop).bytes;
        };
        return oci::resolve_image(repository.fetch_manifest(name, stop), wanted, repository, fetch_manifest, stop);
    });
}

}  // namespace imgbuild::registry
