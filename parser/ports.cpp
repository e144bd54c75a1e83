// "[host-ip:][host-port:]container-port[/protocol]", each port a number or a range. EXPOSE only means the container's
// ports; the rest is read to be checked, since people paste what they give to `docker run -p`.

#include "parser/reject.hpp"
#include "parser/values.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <arpa/inet.h>
#include <algorithm>

namespace imgbuild::parser {
namespace {

struct Range {
    std::uint64_t first;
    std::uint64_t last;
};

[[noreturn]] void reject_port(std::string_view text, std::string_view why) {
    reject("parse.bad-value", fmt::format("invalid port {}: {}", util::quote(text), why),
           "write PORT, PORT/udp or FIRST-LAST/tcp");
}

std::optional<std::uint64_t> parse_port(std::string_view text) {
    const std::optional<std::uint64_t> port = util::parse_number(text);
    return port && *port <= 65535 ? port : std::nullopt;
}

Range parse_range(std::string_view whole, std::string_view text) {
    const std::size_t dash = text.find('-');
    const std::optional<std::uint64_t> first = parse_port(text.substr(0, dash));
    const std::optional<std::uint64_t> last =
        dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
    if (!first || !last) {
        reject_port(whole, "a port is a number up to 65535");
    }
    if (*last < *first) {
        reject_port(whole, "the range ends before it begins");
    }
    return {*first, *last};
}

bool is_address(std::string_view text) {
    if (text.starts_with('[') && text.ends_with(']')) {
        text = text.substr(1, text.size() - 2);
    }
    const std::string address(text);
    in6_addr ignored{};
    return inet_pton(AF_INET, address.c_str(), &ignored) == 1 || inet_pton(AF_INET6, address.c_str(), &ignored) == 1;
}

/// Cuts at the last ':' and returns what is behind it.
std::string_view take_last_part(std::string_view& text) {
    const std::size_t colon = text.rfind(':');
    const std::string_view part = colon == std::string_view::npos ? text : text.substr(colon + 1);
    text = colon == std::string_view::npos ? std::string_view{} : text.substr(0, colon);
    return part;
}

void check_host_port(std::string_view whole, std::string_view text, Range container) {
    if (text.empty()) {
        return;
    }
    const Range host = parse_range(whole, text);
    const std::uint64_t wanted = container.last - container.first;
    if (host.last - host.first != wanted && wanted != 0) {
        reject_port(whole, "the ranges of host and container have different lengths");
    }
}

}  // namespace

std::vector<std::string> parse_ports(std::string_view text) {
    const std::size_t slash = text.find('/');
    // "80/" is 80/tcp: so it is read everywhere.
    const bool plain = slash == std::string_view::npos || slash + 1 == text.size();
    const std::string protocol = plain ? "tcp" : util::to_lower(text.substr(slash + 1));
    if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") {
        reject_port(text, fmt::format("unknown protocol {}", util::quote(protocol)));
    }
    std::string_view rest = text.substr(0, slash);
    const bool has_host_part = rest.contains(':');
    const std::string_view container = take_last_part(rest);
    if (container.empty()) {
        reject_port(text, "no port specified");
    }
    const Range range = parse_range(text, container);
    if (has_host_part) {
        const std::string_view host_port = take_last_part(rest);
        check_host_port(text, host_port, range);
        if (!rest.empty() && !is_address(rest)) {
            reject_port(text, fmt::format("{} is no IP address", util::quote(rest)));
        }
    }
    std::vector<std::string> result;
    for (std::uint64_t port = range.first; port <= range.last; ++port) {
        result.push_back(fmt::format("{}/{}", port, protocol));
    }
    return result;
}

}  // namespace imgbuild::parser
