#include "cli/store_filters.hpp"

#include <imgbuild/error.hpp>

#include "oci/time.hpp"
#include "parser/values.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace imgbuild::cli {
namespace {

using layers::ObjectKind;

constexpr std::int64_t kSecond = 1'000'000'000;

// The last two are what BuildKit calls them.
constexpr std::array<std::pair<std::string_view, ObjectKind>, 7> kTypes = {{{"image", ObjectKind::image},
                                                                            {"layer", ObjectKind::layer},
                                                                            {"blob", ObjectKind::blob},
                                                                            {"mount", ObjectKind::mount},
                                                                            {"log", ObjectKind::log},
                                                                            {"regular", ObjectKind::layer},
                                                                            {"exec.cachemount", ObjectKind::mount}}};

UsageError bad_filter(std::string message, std::string hint) {
    return UsageError(
        {.code = "usage.bad-filter", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

ObjectKind parse_type(std::string_view text) {
    const auto* const at =
        std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& row) { return row.first == text; });
    if (at != kTypes.end()) return at->second;
    throw bad_filter(fmt::format("the store holds nothing of the type {}", util::quote(text)),
                     "types are image, layer, blob, mount and log");
}

bool parse_truth(std::string_view name, std::string_view text) {
    // "--filter inuse" is "inuse=true", as with BuildKit.
    if (text.empty()) return true;
    if (const auto value = parser::parse_bool(text)) return *value;
    throw bad_filter(fmt::format("the filter {} is {}, which is neither true nor false", name, util::quote(text)), {});
}

// Days and weeks, which the durations of build files do not know.
std::optional<std::int64_t> parse_days(std::string_view text) {
    constexpr std::uint64_t kLongest = 36'500;
    const bool weeks = text.ends_with('w');
    if (!weeks && !text.ends_with('d')) return std::nullopt;
    const auto number = util::parse_number(text.substr(0, text.size() - 1));
    if (!number || *number > kLongest) return std::nullopt;
    return static_cast<std::int64_t>(*number) * (weeks ? 7 : 1) * 86'400 * kSecond;
}

std::optional<std::int64_t> parse_age(std::string_view text) {
    if (const auto days = parse_days(text)) return days;
    try {
        const auto age = parser::parse_duration(text);
        if (age.count() >= 0) return age.count();
    } catch (const Error&) {
        // Not a duration; it may be a point in time.
    }
    return std::nullopt;
}

std::int64_t parse_moment(std::string_view text, std::int64_t now) {
    if (const auto seconds = util::parse_number(text); seconds && *seconds <= std::uint64_t{1} << 33) {
        return static_cast<std::int64_t>(*seconds) * kSecond;
    }
    if (const auto age = parse_age(text)) return now - *age;
    for (const std::string& form : {std::string(text), std::string(text) + "Z", std::string(text) + "T00:00:00Z"}) {
        const auto time = oci::parse_time(form);
        if (time && std::abs(time->seconds) < std::numeric_limits<std::int64_t>::max() / kSecond) {
            return time->seconds * kSecond + time->nanoseconds;
        }
    }
    throw bad_filter(fmt::format("{} is neither an age nor a time", util::quote(text)),
                     "write 24h, 7d, 2026-01-31, 2026-01-31T12:00:00Z or seconds since 1970");
}

std::string_view without_algorithm(std::string_view id) {
    constexpr std::string_view kAlgorithm = "sha256:";
    return id.starts_with(kAlgorithm) ? id.substr(kAlgorithm.size()) : id;
}

}  // namespace

bool StoreFilters::empty() const {
    return kinds.empty() && !unused_since && ids.empty() && !in_use && !shared;
}

bool StoreFilters::accept(const layers::StoredObject& object) const {
    const auto begins = [&](const std::string& id) {
        return without_algorithm(object.id).starts_with(without_algorithm(id));
    };
    return (kinds.empty() || kinds.contains(object.kind)) && (!unused_since || object.last_used < *unused_since) &&
           (ids.empty() || std::any_of(ids.begin(), ids.end(), begins)) &&
           (!in_use || *in_use != layers::is_reclaimable(object)) && (!shared || *shared == (object.images > 1));
}

StoreFilters parse_store_filters(const std::vector<std::string>& filters, const std::string& older_than,
                                 const std::vector<std::string_view>& known, std::int64_t now) {
    StoreFilters out;
    const auto not_after = [&](std::string_view text) {
        const std::int64_t moment = parse_moment(text, now);
        out.unused_since = std::min(moment, out.unused_since.value_or(moment));
    };
    for (const std::string& filter : filters) {
        const std::size_t equals = filter.find('=');
        const std::string name = filter.substr(0, equals);
        const std::string value = equals == std::string::npos ? "" : filter.substr(equals + 1);
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            throw bad_filter(fmt::format("there is no filter {}", util::quote(name)),
                             fmt::format("filters are {}, as in --filter {}=…", fmt::join(known, ", "), known.front()));
        }
        if (name == "type") out.kinds.insert(parse_type(value));
        if (name == "until") not_after(value);
        if (name == "id") out.ids.push_back(value);
        if (name == "inuse") out.in_use = parse_truth(name, value);
        if (name == "shared") out.shared = parse_truth(name, value);
        if (name == "private") out.shared = !parse_truth(name, value);
    }
    if (!older_than.empty()) not_after(older_than);
    return out;
}

std::uint64_t parse_store_size(std::string_view option, std::string_view text) {
    try {
        return parser::parse_size(text);
    } catch (const Error& error) {
        throw UsageError({.code = "usage.bad-size",
                          .message = fmt::format("{}: {}", option, error.message()),
                          .hint = "write a number of bytes, or one with a unit, such as 500MB or 20GB",
                          .where = {}});
    }
}

}  // namespace imgbuild::cli
