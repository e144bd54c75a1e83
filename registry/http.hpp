// One HTTP exchange, and who can make one. Nothing here knows what a registry is.
//
// A transport makes exactly one exchange per call: no redirects, no retries, no cookies, no credentials of its own.
// These decisions are RegistryClient's. There are two: CurlTransport for networks, MemoryRegistry for tests.
#pragma once

#include "util/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::registry {

struct Header {
    std::string name;
    std::string value;
};

/// In order of appearance; names compare without case.
class Headers {
public:
    void add(std::string name, std::string value) { entries_.push_back({std::move(name), std::move(value)}); }
    /// The first of that name.
    std::optional<std::string> find(std::string_view name) const;
    std::vector<std::string> find_all(std::string_view name) const;
    void remove(std::string_view name);
    void clear() { entries_.clear(); }
    const std::vector<Header>& entries() const { return entries_; }

private:
    std::vector<Header> entries_;
};

/// The longest body that is kept as text when nobody wants to stream it.
inline constexpr std::size_t kMaxTextBody = 8U << 20;
/// Limits on what a server may send before the body.
inline constexpr std::size_t kMaxHeaderCount = 256;
inline constexpr std::size_t kMaxHeaderBytes = 64U << 10;

struct HttpResponse {
    int status = 0;
    Headers headers;
    /// The body, unless it went to a sink. Cut at the limit when the status is an error.
    std::string text;
};

struct HttpRequest {
    /// "GET", "HEAD", "POST", "PUT" …
    std::string method = "GET";
    /// Absolute.
    std::string url;
    Headers headers;
    /// The server is the registry that was named, and not one that it sends us to: it may know who we are.
    bool to_registry = false;
    /// Null if there is none. Read once.
    util::Source* body = nullptr;
    /// Bytes that `body` yields; unknown means chunked transfer.
    std::optional<std::uint64_t> body_size;
    /// Called when status and headers are there; what it returns gets the body, null means `text`. May throw: the
    /// transfer ends and the exception comes out of send().
    std::function<util::Sink*(const HttpResponse&)> on_response;
    /// Most bytes for `text`. A longer body of a successful answer is CorruptData ("corrupt.too-large").
    std::size_t text_limit = kMaxTextBody;
};

class HttpTransport {
public:
    virtual ~HttpTransport() = default;

    /// Returns whatever the server answered, 500 as well as 200. Throws RegistryError with status 0 when there was no
    /// (whole) answer: "registry.unknown-host", "registry.connection-refused", "registry.tls", "registry.timeout",
    /// "registry.connection-broken", "registry.no-http-library"; Cancelled; and what body, sink or callback throw.
    /// May be called from several threads at once.
    virtual HttpResponse send(const HttpRequest& request, std::stop_token stop) = 0;
};

}  // namespace imgbuild::registry
