// The few things that we need to know about URLs. Pure.
#pragma once

#include <string>
#include <string_view>

namespace imgbuild::registry {

/// An absolute http or https URL in pieces.
struct Url {
    /// "http" or "https", lower case.
    std::string scheme;
    /// Host and port as they stand between "//" and "/"; user information is refused when parsing.
    std::string authority;
    /// Begins with "/".
    std::string path;
    /// Without "?"; empty if there is none.
    std::string query;

    std::string text() const;
    /// For people: without the values of the query, since some of them are signatures.
    std::string redacted() const;
    /// The authority without port and brackets, lower case.
    std::string host() const;
    /// Scheme and authority, lower case, without the scheme's own port: equal for two URLs of one server.
    std::string origin() const;
};

/// Throws RegistryError ("registry.bad-url") for anything else than http(s), for user information, control characters
/// and more than 16 KiB.
Url parse_url(std::string_view text);
/// What `location` means in an answer to `base` (RFC 3986 section 5): absolute, "//host/…", "/path" or relative. A
/// fragment is dropped.
Url resolve_url(const Url& base, std::string_view location);

/// Adds "name=value" to the query, the value percent-encoded.
void add_query(Url& url, std::string_view name, std::string_view value);
std::string percent_encode(std::string_view text);

/// "localhost", 127.0.0.0/8 or [::1]: a host that is this machine by its spelling, without asking anybody.
bool is_loopback(std::string_view host);

}  // namespace imgbuild::registry
