// The ids that a plain user may give to others: what /etc/subuid and /etc/subgid say (subuid(5)), as the map of a user
// namespace (user_namespaces(7)). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::sandbox {

/// `count` ids: `inside` and following are `outside` and following.
struct IdRange {
    std::uint32_t inside = 0;
    std::uint32_t outside = 0;
    std::uint32_t count = 0;

    friend bool operator==(const IdRange&, const IdRange&) = default;
};

/// The ranges of a user in `text`, in the order of the file: lines "name:first:count", where a name may also be a
/// number. Lines that are not of that form are somebody else's business and left out. `inside` is 0 in all of them.
std::vector<IdRange> parse_subordinate_ids(std::string_view text, std::string_view user, std::uint32_t uid);

/// The map in which the user's own id is 0 and what `ranges` have follows from 1, without gaps. The kernel takes at
/// most 340 lines; ranges beyond are left out, as are ids beyond the last one.
std::vector<IdRange> subordinate_map(std::uint32_t own, const std::vector<IdRange>& ranges);

/// As newuidmap(1) takes it: three numbers for each range.
std::vector<std::string> map_arguments(const std::vector<IdRange>& map);

}  // namespace imgbuild::sandbox
