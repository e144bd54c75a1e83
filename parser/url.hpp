// The parts of a URL, for names of git repositories. Spec: RFC 3986, as forgiving as the peers are.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgbuild::parser {

struct Url {
    /// Lower case.
    std::string scheme;
    /// Everything but query and fragment, in a form that programs take: bytes that cannot stand in a URL are escaped.
    std::string without_query;
    /// Escapes resolved.
    std::string path;
    std::string fragment;
    /// As written.
    std::string query;
};

/// "scheme://[user@]host[:port][/path][?query][#fragment]". Nothing for any other form, for control characters, broken
/// escapes, and hosts, ports or users that cannot be.
std::optional<Url> parse_url(std::string_view text);

struct Query {
    /// In order, escapes and "+" resolved.
    std::vector<std::pair<std::string, std::string>> pairs;
    /// There were pairs with broken escapes or a ";"; they are left out.
    bool malformed = false;
};

/// name=value pairs between "&"; a name alone has the value "".
Query parse_query(std::string_view query);

}  // namespace imgbuild::parser
