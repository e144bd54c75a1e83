#include "registry/client.hpp"

#include "registry/repository.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <chrono>

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

RegistryClient::RegistryClient(HttpTransport& transport, ClientOptions options)
    : transport_(transport),
      options_(std::move(options)),
      authorizer_(
          options_.credentials,
          [this](HttpRequest request, const Purpose& purpose, std::stop_token stop) {
              const std::string method = request.method;
              Answer answer = send(std::move(request), purpose, std::move(stop));
              if (answer.response.status < 300) return std::move(answer.response);
              throw_refusal(answer.response, purpose, fmt::format("{} {}", method, answer.from.redacted()),
                            "the token server does not accept the credentials");
          },
          [this](const Url& base, std::string_view location) { return follow(base, location); }) {}

bool RegistryClient::may_be_plain(const Url& url) const {
    return is_loopback(url.host()) || options_.plain_http.contains(url.authority);
}

Url RegistryClient::api(std::string_view domain) const {
    Url url{.scheme = "https", .authority = std::string(domain), .path = "/v2/", .query = {}};
    if (domain == "docker.io") url.authority = "registry-1.docker.io";
    const std::lock_guard lock(mutex_);
    if (may_be_plain(url) && !with_tls_.contains(url.authority)) url.scheme = "http";
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

RegistryClient::Answer RegistryClient::send(HttpRequest request, const Purpose& purpose, std::stop_token stop) {
    Url url = parse_url(request.url);
    for (int redirects = 0;; ++redirects) {
        HttpResponse response = transport_.send(request, stop);
        const auto location = response.headers.find("Location");
        if (!location || !may_follow(request, response.status)) {
            return {.response = std::move(response),
                    .from = std::move(url),
                    .authorization = request.headers.find("Authorization").value_or("")};
        }
        if (redirects == kMaxRedirects) {
            throw_redirect("registry.too-many-redirects",
                           fmt::format("cannot {}: more than {} redirects", purpose.what, kMaxRedirects));
        }
        Url next = follow(url, *location);
        if (next.origin() != url.origin()) {
            request.headers.remove("Authorization");
            request.to_registry = false;
        }
        url = std::move(next);
        request.url = url.text();
    }
}

// Servers with TLS answer a plain request with 400, if at all; what they say in it differs.
bool RegistryClient::learn_scheme(const Url& asked, const Purpose& purpose, std::stop_token stop) {
    if (asked.scheme != "http" || asked.origin() != api(purpose.registry).origin()) return false;
    HttpRequest probe;
    probe.url = fmt::format("https://{}/v2/", asked.authority);
    probe.to_registry = true;
    try {
        transport_.send(probe, std::move(stop));
    } catch (const RegistryError& error) {
        if (error.code() == "registry.bad-certificates") throw;
        // A certificate that is not trusted shows TLS as well, and the next request will say so.
        if (error.code() != "registry.untrusted-certificate") return false;
    }
    const std::lock_guard lock(mutex_);
    with_tls_.insert(asked.authority);
    return true;
}

HttpResponse RegistryClient::exchange(HttpRequest request, const Purpose& purpose, Accept404 accept_404,
                                      std::stop_token stop) {
    bool scheme_known = false;
    // One answer to what a registry asks, one more if the token had just expired.
    for (int answers_left = 2;;) {
        Url url = parse_url(request.url);
        const Url home = api(purpose.registry);
        if (url.authority == home.authority && url.scheme == "http") url.scheme = home.scheme;
        request.url = url.text();
        request.headers.remove("Authorization");
        request.to_registry = url.origin() == home.origin();
        const std::string authorization = authorizer_.header(purpose);
        if (!authorization.empty() && request.to_registry) {
            request.headers.add("Authorization", authorization);
        }
        const Answer answer = send(request, purpose, stop);
        const int status = answer.response.status;
        if (status < 300 || (status == 404 && accept_404 == Accept404::yes)) return answer.response;
        if (status == 400 && !scheme_known && request.body == nullptr) {
            scheme_known = true;
            if (learn_scheme(answer.from, purpose, stop)) continue;
        }
        const std::string attempt = fmt::format("{} {}", request.method, answer.from.redacted());
        if (status != 401 || answer.from.origin() != api(purpose.registry).origin()) {
            throw_refusal(answer.response, purpose, attempt);
        }
        if (answers_left-- == 0 ||
            !authorizer_.learn(purpose, answer.from, answer.response, answer.authorization, stop)) {
            throw_refusal(answer.response, purpose, attempt, authorizer_.hint(purpose));
        }
        if (request.body != nullptr) {
            throw TransientRefusal({.code = "registry.unauthorized",
                                    .message = fmt::format("cannot {}: the token expired on the way", purpose.what),
                                    .hint = authorizer_.hint(purpose),
                                    .where = {}},
                                   status, std::chrono::seconds(0));
        }
    }
}

void RegistryClient::check_access(const std::string& domain, std::stop_token stop) {
    const Purpose purpose{.what = "log in to " + domain, .registry = domain};
    with_retries(options_.retry, stop, [&] {
        HttpRequest request;
        request.url = api(domain).text();
        exchange(std::move(request), purpose, Accept404::no, stop);
    });
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
