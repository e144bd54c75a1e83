#include "parser/url.hpp"

#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::parser {
namespace {

constexpr std::string_view kUnreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";

bool is_one_of(char c, std::string_view set) {
    return kUnreserved.contains(c) || set.contains(c);
}

std::optional<unsigned> hex_digit(char c) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    const std::size_t digit = kDigits.find(static_cast<char>(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c));
    return digit == std::string_view::npos ? std::nullopt : std::optional(static_cast<unsigned>(digit));
}

enum class Plus { is_plus, is_space };

/// Nothing if a "%" is not followed by two digits.
std::optional<std::string> unescape(std::string_view text, Plus plus) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus == Plus::is_space) {
            result.push_back(' ');
            continue;
        }
        if (text[i] != '%') {
            result.push_back(text[i]);
            continue;
        }
        const auto high = i + 2 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
        const auto low = high ? hex_digit(text[i + 2]) : std::nullopt;
        if (!low) {
            return std::nullopt;
        }
        result.push_back(static_cast<char>(static_cast<unsigned char>(*high * 16 + *low)));
        i += 2;
    }
    return result;
}

std::string escape_path(std::string_view path) {
    std::string result;
    for (const char c : path) {
        result += is_one_of(c, "$&+,/:;=@") ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return result;
}

bool all_of(std::string_view text, std::string_view allowed) {
    return std::all_of(text.begin(), text.end(), [allowed](char c) { return is_one_of(c, allowed); });
}

bool is_port(std::string_view text) {
    return text.empty() || (text.starts_with(':') && text.find_first_not_of("0123456789", 1) == std::string_view::npos);
}

bool is_host(std::string_view host) {
    if (host.starts_with('[')) {
        const std::size_t close = host.rfind(']');
        return close != std::string_view::npos && is_port(host.substr(close + 1));
    }
    const std::size_t colon = host.rfind(':');
    return (colon == std::string_view::npos || is_port(host.substr(colon))) && all_of(host, "!$&'()*+,;=:<>\"");
}

/// "[user@]host[:port]"
bool is_authority(std::string_view text) {
    const std::size_t at = text.rfind('@');
    if (at == std::string_view::npos) {
        return is_host(text);
    }
    const std::string_view user = text.substr(0, at);
    return all_of(user, ":!$&'()*+,;=%@") && unescape(user, Plus::is_plus) && is_host(text.substr(at + 1));
}

bool has_control_character(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

}  // namespace

std::optional<Url> parse_url(std::string_view text) {
    const std::size_t colon = text.find("://");
    if (colon == std::string_view::npos || has_control_character(text.substr(0, text.find('#')))) {
        return std::nullopt;
    }
    Url url;
    url.scheme = util::to_lower(text.substr(0, colon));
    std::string_view rest = text.substr(colon + 3);
    const std::size_t hash = std::min(rest.find('#'), rest.size());
    const auto fragment = unescape(rest.substr(std::min(hash + 1, rest.size())), Plus::is_plus);
    rest = rest.substr(0, hash);
    const std::size_t question = std::min(rest.find('?'), rest.size());
    url.query = rest.substr(std::min(question + 1, rest.size()));
    rest = rest.substr(0, question);
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    const std::string_view authority = rest.substr(0, slash);
    const std::string_view raw_path = rest.substr(slash);
    const auto path = unescape(raw_path, Plus::is_plus);
    if (!fragment || !path || !is_authority(authority)) {
        return std::nullopt;
    }
    url.fragment = *fragment;
    url.path = *path;
    const bool can_stand = all_of(raw_path, "/!$&'()*+,;=:@[]%");
    url.without_query =
        fmt::format("{}://{}{}", url.scheme, authority, can_stand ? std::string(raw_path) : escape_path(*path));
    return url;
}

Query parse_query(std::string_view query) {
    Query result;
    for (const std::string_view pair : util::split(query, '&')) {
        if (pair.empty()) {
            continue;
        }
        const std::size_t equals = std::min(pair.find('='), pair.size());
        const auto name = unescape(pair.substr(0, equals), Plus::is_space);
        const auto value = unescape(pair.substr(std::min(equals + 1, pair.size())), Plus::is_space);
        if (!name || !value || pair.contains(';')) {
            result.malformed = true;
        } else {
            result.pairs.emplace_back(*name, *value);
        }
    }
    return result;
}

}  // namespace imgbuild::parser
