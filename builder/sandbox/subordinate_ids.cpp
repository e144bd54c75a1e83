#include "builder/sandbox/subordinate_ids.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "util/text.hpp"

#include <fmt/core.h>

namespace imgbuild::sandbox {
namespace {

constexpr std::size_t kMaxRanges = 340;
/// The highest number is "no id" to the kernel.
constexpr std::uint64_t kIds = std::numeric_limits<std::uint32_t>::max();

std::optional<std::uint32_t> parse_id(std::string_view text) {
    const auto number = util::parse_number(text);
    if (!number || *number >= kIds) return std::nullopt;
    return static_cast<std::uint32_t>(*number);
}

}  // namespace

std::vector<IdRange> parse_subordinate_ids(std::string_view text, std::string_view user, std::uint32_t uid) {
    std::vector<IdRange> out;
    for (const std::string_view line : util::split(text, '\n')) {
        const std::vector<std::string_view> fields = util::split(util::trim(line), ':');
        if (fields.size() != 3) continue;
        const bool is_user = !user.empty() && fields[0] == user;
        if (!is_user && fields[0] != fmt::format("{}", uid)) continue;
        const auto first = parse_id(fields[1]);
        const auto count = parse_id(fields[2]);
        if (!first || !count || *count == 0 || *count > kIds - *first) continue;
        out.push_back({.inside = 0, .outside = *first, .count = *count});
    }
    return out;
}

std::vector<IdRange> subordinate_map(std::uint32_t own, const std::vector<IdRange>& ranges) {
    std::vector<IdRange> out = {{.inside = 0, .outside = own, .count = 1}};
    std::uint64_t next = 1;
    for (const IdRange& range : ranges) {
        if (out.size() == kMaxRanges || next == kIds) break;
        const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(range.count, kIds - next));
        out.push_back({.inside = static_cast<std::uint32_t>(next), .outside = range.outside, .count = count});
        next += count;
    }
    return out;
}

std::vector<std::string> map_arguments(const std::vector<IdRange>& map) {
    std::vector<std::string> out;
    for (const IdRange& range : map) {
        for (const std::uint32_t number : {range.inside, range.outside, range.count}) {
            out.push_back(fmt::format("{}", number));
        }
    }
    return out;
}

}  // namespace imgbuild::sandbox
