// Small languages inside arguments: ports, durations, sizes, modes, owners, signals. Pure functions on text whose
// variables are expanded already. All throw Error with code "parse.bad-value" and a message that quotes the text.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::parser {

/// EXPOSE: "80", "80/udp", "8000-8010/tcp", "[host-ip:][host-port:]port" → "80/tcp", …, sorted as written.
/// Protocols: tcp, udp, sctp (any case).
std::vector<std::string> parse_ports(std::string_view text);

/// "1h2m3.5s", "100ms", "0", "-1s": a sum of numbers with units h, m, s, ms, us (µs), ns.
std::chrono::nanoseconds parse_duration(std::string_view text);

/// "10m", "1.5GiB", "512": bytes; units are powers of 1024, in any case.
std::uint64_t parse_size(std::string_view text);

/// true/false/1/0/t/f in any of the usual cases; nothing otherwise.
std::optional<bool> parse_bool(std::string_view text);

/// --chmod: a number to set, or changes to make.
class FileMode {
public:
    /// "0755" (up to 07777), or clauses as chmod(1) knows them: "u=rwX,go=rX,+t".
    static FileMode parse(std::string_view text);

    /// The permission bits (07777) of a file that has `mode` now.
    std::uint32_t apply(std::uint32_t mode, bool is_directory) const;
    /// Set if the mode is a plain number.
    std::optional<std::uint32_t> absolute() const { return absolute_; }

private:
    struct Action {
        std::uint32_t who;   // mask of 07777 bits that the clause may touch
        char op;             // '+', '-', '='
        std::uint32_t bits;  // before masking with who
        bool conditional_x;  // "X"
        char copy_from;      // 'u', 'g', 'o', or 0
    };
    friend class ModeParser;
    std::optional<std::uint32_t> absolute_;
    std::vector<Action> actions_;
};

/// --chown, USER: names or numbers. Group empty: not given.
struct Owner {
    std::string user;
    std::string group;
};
Owner parse_owner(std::string_view text);

/// STOPSIGNAL: "SIGTERM", "term", "15", "SIGRTMIN+3" → its number. Throws for an unknown one.
int parse_signal(std::string_view text);

}  // namespace imgbuild::parser
