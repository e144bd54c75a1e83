// What a registry asks for in a 401. Spec: RFC 9110 section 11, distribution "token authentication". Pure.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::registry {

struct Challenge {
    /// "bearer", "basic", lower case.
    std::string scheme;
    /// Names in lower case: "realm", "service", "scope".
    std::map<std::string, std::string, std::less<>> parameters;

    /// Empty if absent.
    std::string parameter(std::string_view name) const;
};

/// The challenges of one WWW-Authenticate header, of which there may be several in one. What is malformed ends the
/// list: the part before it counts.
std::vector<Challenge> parse_challenges(std::string_view header);

/// The one to answer: a bearer challenge with a realm before a basic one. Nothing if we know none of them.
std::optional<Challenge> choose_challenge(std::span<const std::string> headers);

}  // namespace imgbuild::registry
