#include "parser/reject.hpp"
#include "parser/values.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace imgbuild::parser {
namespace {

/// A decimal number as whole and fraction, so that nothing is lost in floating point: "1.25" is 1 and 25/100.
struct Decimal {
    std::uint64_t whole = 0;
    std::uint64_t fraction = 0;
    std::uint64_t scale = 1;
};

/// Takes digits with an optional point off the front; nothing if there are none or too many.
std::optional<Decimal> take_decimal(std::string_view& text) {
    static constexpr std::size_t kMaxFractionDigits = 18;
    const std::size_t whole_end = std::min(text.find_first_not_of("0123456789"), text.size());
    const std::string_view whole = text.substr(0, whole_end);
    text.remove_prefix(whole_end);
    std::string_view fraction;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        fraction = text.substr(0, text.find_first_not_of("0123456789"));
        text.remove_prefix(fraction.size());
    }
    if (whole.empty() && fraction.empty()) {
        return std::nullopt;
    }
    Decimal result;
    const std::optional<std::uint64_t> number = whole.empty() ? 0 : util::parse_number(whole);
    if (!number) {
        return std::nullopt;
    }
    result.whole = *number;
    for (const char c : fraction.substr(0, kMaxFractionDigits)) {
        result.fraction = result.fraction * 10 + static_cast<std::uint64_t>(c - '0');
        result.scale *= 10;
    }
    return result;
}

/// number × unit, rounded down; nothing beyond 2^63 - 1.
std::optional<std::uint64_t> scaled(const Decimal& number, std::uint64_t unit) {
    static constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
    if (number.whole > kMax / unit) {
        return std::nullopt;
    }
    const auto fraction =
        static_cast<std::uint64_t>(std::floor(static_cast<long double>(number.fraction) /
                                              static_cast<long double>(number.scale) * static_cast<long double>(unit)));
    const std::uint64_t result = number.whole * unit;
    return fraction > kMax - result ? std::nullopt : std::optional(result + fraction);
}

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

constexpr std::array<Unit, 8> kDurationUnits = {{{"ns", 1},
                                                 {"us", 1000},
                                                 {"\u00b5s", 1000},
                                                 {"\u03bcs", 1000},
                                                 {"ms", 1000000},
                                                 {"s", 1000000000},
                                                 {"m", 60000000000},
                                                 {"h", 3600000000000}}};

[[noreturn]] void reject_duration(std::string_view text) {
    reject("parse.bad-value", fmt::format("invalid duration {}", util::quote(text)),
           "write a number with a unit, such as 30s, 1m30s or 500ms");
}

std::uint64_t take_unit(std::string_view whole, std::string_view& rest) {
    const std::string_view name = rest.substr(0, rest.find_first_of("0123456789."));
    const auto unit =
        std::find_if(kDurationUnits.begin(), kDurationUnits.end(), [name](const Unit& u) { return u.name == name; });
    if (unit == kDurationUnits.end()) {
        reject_duration(whole);
    }
    rest.remove_prefix(name.size());
    return unit->factor;
}

}  // namespace

std::chrono::nanoseconds parse_duration(std::string_view text) {
    std::string_view rest = text;
    const bool negative = rest.starts_with('-');
    if (negative || rest.starts_with('+')) {
        rest.remove_prefix(1);
    }
    if (rest == "0") {
        return std::chrono::nanoseconds(0);
    }
    if (rest.empty()) {
        reject_duration(text);
    }
    std::uint64_t total = 0;
    while (!rest.empty()) {
        const std::optional<Decimal> number = take_decimal(rest);
        const std::optional<std::uint64_t> part = number ? scaled(*number, take_unit(text, rest)) : std::nullopt;
        if (!part || *part > std::uint64_t{std::numeric_limits<std::int64_t>::max()} - total) {
            reject_duration(text);
        }
        total += *part;
    }
    const auto value = static_cast<std::int64_t>(total);
    return std::chrono::nanoseconds(negative ? -value : value);
}

std::uint64_t parse_size(std::string_view text) {
    static constexpr std::string_view kPrefixes = "bkmgtp";
    std::string_view rest = util::trim(text);
    const std::optional<Decimal> number = take_decimal(rest);
    const std::string unit = util::to_lower(util::trim(rest));
    std::uint64_t factor = 1;
    bool known = unit.empty();
    if (!unit.empty() && kPrefixes.contains(unit.front())) {
        const std::size_t power = kPrefixes.find(unit.front());
        factor = std::uint64_t{1} << (10 * power);
        const std::string_view tail = std::string_view(unit).substr(1);
        known = tail.empty() || (power > 0 && (tail == "b" || tail == "ib"));
    }
    const std::optional<std::uint64_t> size = number && known ? scaled(*number, factor) : std::nullopt;
    if (!size) {
        reject("parse.bad-value", fmt::format("invalid size {}", util::quote(text)),
               "write a number of bytes, or one with a unit, such as 64m or 1.5g");
    }
    return *size;
}

std::optional<bool> parse_bool(std::string_view text) {
    static constexpr std::array<std::string_view, 6> kTrue = {"1", "t", "T", "true", "TRUE", "True"};
    static constexpr std::array<std::string_view, 6> kFalse = {"0", "f", "F", "false", "FALSE", "False"};
    if (std::find(kTrue.begin(), kTrue.end(), text) != kTrue.end()) {
        return true;
    }
    return std::find(kFalse.begin(), kFalse.end(), text) != kFalse.end() ? std::optional(false) : std::nullopt;
}

Owner parse_owner(std::string_view text) {
    const std::size_t colon = text.find(':');
    Owner owner{std::string(text.substr(0, colon)), {}};
    if (colon != std::string_view::npos) {
        owner.group = text.substr(colon + 1);
    }
    if (owner.user.empty() || owner.group.contains(':') || (colon != std::string_view::npos && owner.group.empty())) {
        reject("parse.bad-value", fmt::format("invalid owner {}", util::quote(text)),
               "write user, user:group, or their numbers");
    }
    return owner;
}

}  // namespace imgbuild::parser
