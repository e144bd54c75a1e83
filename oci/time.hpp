// Points in time as images write them: RFC 3339, in UTC.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::oci {

/// Seconds since 1970-01-01T00:00:00Z, and a fraction that foreign images have and ours do not.
struct Timestamp {
    std::int64_t seconds = 0;
    /// 0 … 999 999 999
    std::int32_t nanoseconds = 0;

    friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

/// Reads "2015-10-31T22:22:56.015925234Z" or with an offset like "+02:00"; nothing if it is no such time. More than
/// nine digits of a fraction are cut.
std::optional<Timestamp> parse_time(std::string_view text);

/// "2015-10-31T22:22:56Z"; a fraction without trailing zeros only if there is one. Precondition: the year has four
/// digits (0000 … 9999).
std::string format_time(const Timestamp& time);

}  // namespace imgbuild::oci
