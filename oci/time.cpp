#include "oci/time.hpp"

#include "util/assert.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace imgbuild::oci {
namespace {

constexpr int kNanosecondDigits = 9;
constexpr std::int64_t kSecondsPerDay = 86400;
// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z
constexpr std::int64_t kEarliest = -62167219200;
constexpr std::int64_t kLatest = 253402300799;

// Takes `digits` decimal digits off the front of `text`.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
    if (text.size() < digits) return std::nullopt;
    const auto number = util::parse_number(text.substr(0, digits));
    text.remove_prefix(digits);
    return number.transform([](std::uint64_t value) { return static_cast<int>(value); });
}

bool take(std::string_view& text, char expected) {
    if (text.empty() || text.front() != expected) return false;
    text.remove_prefix(1);
    return true;
}

std::optional<std::int64_t> take_date(std::string_view& text) {
    const auto year = take_number(text, 4);
    if (!year || !take(text, '-')) return std::nullopt;
    const auto month = take_number(text, 2);
    if (!month || !take(text, '-')) return std::nullopt;
    const auto day = take_number(text, 2);
    if (!day) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                           std::chrono::day(static_cast<unsigned>(*day))};
    if (!date.ok()) return std::nullopt;
    return std::chrono::sys_days(date).time_since_epoch().count() * kSecondsPerDay;
}

std::optional<std::int64_t> take_clock(std::string_view& text) {
    const auto hour = take_number(text, 2);
    if (!hour || *hour > 23 || !take(text, ':')) return std::nullopt;
    const auto minute = take_number(text, 2);
    if (!minute || *minute > 59 || !take(text, ':')) return std::nullopt;
    const auto second = take_number(text, 2);
    if (!second || *second > 59) return std::nullopt;
    return *hour * 3600 + *minute * 60 + *second;
}

std::optional<std::int32_t> take_fraction(std::string_view& text) {
    if (!take(text, '.')) return 0;
    const std::size_t length = std::min(text.find_first_not_of("0123456789"), text.size());
    if (length == 0) return std::nullopt;
    std::int32_t nanoseconds = 0;
    for (std::size_t i = 0; i < kNanosecondDigits; ++i) {
        nanoseconds = nanoseconds * 10 + (i < length ? text[i] - '0' : 0);
    }
    text.remove_prefix(length);
    return nanoseconds;
}

// Seconds east of UTC.
std::optional<std::int64_t> take_offset(std::string_view& text) {
    if (take(text, 'Z')) return 0;
    const bool west = take(text, '-');
    if (!west && !take(text, '+')) return std::nullopt;
    const auto hour = take_number(text, 2);
    if (!hour || *hour > 23 || !take(text, ':')) return std::nullopt;
    const auto minute = take_number(text, 2);
    if (!minute || *minute > 59) return std::nullopt;
    const std::int64_t offset = *hour * 3600 + *minute * 60;
    return west ? -offset : offset;
}

}  // namespace

std::optional<Timestamp> parse_time(std::string_view text) {
    const auto date = take_date(text);
    if (!date || !take(text, 'T')) return std::nullopt;
    const auto clock = take_clock(text);
    if (!clock) return std::nullopt;
    const auto fraction = take_fraction(text);
    if (!fraction) return std::nullopt;
    const auto offset = take_offset(text);
    if (!offset || !text.empty()) return std::nullopt;
    // An offset can push a time beyond what can be written again.
    const std::int64_t seconds = *date + *clock - *offset;
    if (seconds < kEarliest || seconds > kLatest) return std::nullopt;
    return Timestamp{.seconds = seconds, .nanoseconds = *fraction};
}

std::string format_time(const Timestamp& time) {
    const std::chrono::sys_seconds point{std::chrono::seconds(time.seconds)};
    const auto midnight = std::chrono::floor<std::chrono::days>(point);
    const std::chrono::year_month_day date(midnight);
    const std::chrono::hh_mm_ss clock(point - midnight);
    const int year = static_cast<int>(date.year());
    IMGBUILD_ASSERT(year >= 0 && year <= 9999);
    std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", year, static_cast<unsigned>(date.month()),
                                  static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(),
                                  clock.seconds().count());
    if (time.nanoseconds != 0) {
        std::string fraction = fmt::format("{:09}", time.nanoseconds);
        fraction.erase(fraction.find_last_not_of('0') + 1);
        out += "." + fraction;
    }
    return out + "Z";
}

}  // namespace imgbuild::oci
