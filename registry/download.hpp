// Fetching one file by its URL, for ADD and for contexts. Nothing here knows what a registry is.
#pragma once

#include "registry/http.hpp"
#include "registry/retry.hpp"
#include "util/bytes.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace imgbuild::registry {

struct DownloadRequest {
    /// http or https, of any host.
    std::string url;
    /// Value of the Authorization header; it goes to the URL's own origin only.
    std::optional<std::string> authorization;
    /// Most bytes.
    std::uint64_t limit = 0;
};

struct Downloaded {
    /// Seconds since 1970, if the server says it.
    std::optional<std::int64_t> last_modified;
    std::uint64_t size = 0;
};

/// Follows redirects (at most ten, never from https to http), and tries again what may be better next time: `begin` is
/// called for each try and returns the sink that gets the body from its first byte.
/// Throws Error ("source.download" for anything but a success; "source.too-large"), Cancelled, and what the sink
/// throws. Precondition: the URL is one (see parse_url()). URLs in messages have no values in their query.
Downloaded download(HttpTransport& transport, const RetryPolicy& retry, const DownloadRequest& request,
                    const std::function<util::Sink&()>& begin, std::stop_token stop);

/// "Sun, 06 Nov 1994 08:49:37 GMT" as seconds since 1970; nothing for any other form (RFC 9110 section 5.6.7).
std::optional<std::int64_t> parse_http_date(std::string_view text);

}  // namespace imgbuild::registry
