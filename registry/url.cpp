#include "registry/url.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::registry {
namespace {

constexpr std::size_t kLongestUrl = 16U << 10;

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
    throw RegistryError({.code = "registry.bad-url",
                         .message = fmt::format("{} is not a URL that can be used: {}", util::quote(text), why),
                         .hint = {},
                         .where = {}},
                        0, RegistryError::Retry::no);
}

// Without what might be a secret, for the message about a URL that could not be taken apart.
std::string_view harmless_part(std::string_view text) {
    text = text.substr(0, text.find_first_of("?#"));
    const std::size_t at = text.rfind('@');
    return at == std::string_view::npos ? text : text.substr(at + 1);
}

// RFC 3986 section 5.2.4, for a path that begins with "/".
std::string remove_dot_segments(std::string_view path) {
    std::vector<std::string_view> kept;
    const std::vector<std::string_view> segments = util::split(path.substr(1), '/');
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const bool last = i + 1 == segments.size();
        const std::string_view segment = segments[i];
        if (segment == "..") {
            if (!kept.empty()) kept.pop_back();
        } else if (segment != ".") {
            kept.push_back(segment);
            continue;
        }
        if (last) kept.emplace_back();
    }
    return fmt::format("/{}", fmt::join(kept, "/"));
}

bool is_unreserved(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("-._~").contains(c);
}

}  // namespace

std::string Url::text() const {
    const std::string out = scheme + "://" + authority + path;
    return query.empty() ? out : out + "?" + query;
}

std::string Url::redacted() const {
    std::string out = origin() + path;
    char separator = '?';
    for (const std::string_view item : util::split(query, '&')) {
        if (item.empty()) continue;
        const std::size_t equals = item.find('=');
        out += separator;
        out += item.substr(0, equals);
        if (equals != std::string_view::npos) out += "=…";
        separator = '&';
    }
    return out;
}

std::string Url::host() const {
    std::string_view host = authority;
    if (host.starts_with('[')) return util::to_lower(host.substr(1, host.find(']') - 1));
    return util::to_lower(host.substr(0, host.find(':')));
}

std::string Url::origin() const {
    std::string out = scheme + "://" + util::to_lower(authority);
    const std::string_view default_port = scheme == "https" ? ":443" : ":80";
    if (out.ends_with(default_port)) out.resize(out.size() - default_port.size());
    return out;
}

Url parse_url(std::string_view text) {
    if (text.size() > kLongestUrl) refuse(harmless_part(text), "it is too long");
    if (std::any_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c >= 0x7f; })) {
        refuse(harmless_part(text), "it has characters that must be escaped");
    }
    const std::size_t colon = text.find("://");
    Url out;
    out.scheme = util::to_lower(text.substr(0, colon));
    if (colon == std::string_view::npos || (out.scheme != "http" && out.scheme != "https")) {
        refuse(harmless_part(text), "it must begin with https:// or http://");
    }
    std::string_view rest = text.substr(colon + 3);
    rest = rest.substr(0, rest.find('#'));
    const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
    out.authority = rest.substr(0, end);
    if (out.authority.contains('@')) refuse(harmless_part(text), "it must not hold a user name or a password");
    if (out.host().empty()) refuse(harmless_part(text), "it has no host");
    rest.remove_prefix(end);
    const std::size_t question = rest.find('?');
    out.path = rest.substr(0, question);
    if (out.path.empty()) out.path = "/";
    if (question != std::string_view::npos) out.query = rest.substr(question + 1);
    return out;
}

Url resolve_url(const Url& base, std::string_view location) {
    location = location.substr(0, location.find('#'));
    const std::size_t colon = location.find(':');
    if (colon != std::string_view::npos && colon < location.find_first_of("/?")) return parse_url(location);
    if (location.starts_with("//")) return parse_url(base.scheme + ":" + std::string(location));
    if (location.empty()) return base;
    const std::string_view path = location.substr(0, location.find('?'));
    std::string full;
    if (path.starts_with('/')) {
        full = path;
    } else if (path.empty()) {
        full = base.path;
    } else {
        full = base.path.substr(0, base.path.rfind('/') + 1) + std::string(path);
    }
    return parse_url(base.origin() + remove_dot_segments(full) + std::string(location.substr(path.size())));
}

void add_query(Url& url, std::string_view name, std::string_view value) {
    if (!url.query.empty()) url.query += '&';
    url.query += fmt::format("{}={}", name, percent_encode(value));
}

std::string percent_encode(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (is_unreserved(c)) {
            out += c;
        } else {
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

bool is_loopback(std::string_view host) {
    if (host == "localhost" || host == "::1") return true;
    // 127.anything that is an address; "127.example.org" is a name that anybody may own.
    const std::vector<std::string_view> numbers = util::split(host, '.');
    return numbers.size() == 4 && numbers[0] == "127" &&
           std::all_of(numbers.begin(), numbers.end(), [](std::string_view number) {
               const auto value = util::parse_number(number);
               return value && *value <= 255;
           });
}

}  // namespace imgbuild::registry
