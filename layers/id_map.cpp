#include "layers/id_map.hpp"

#include "util/files.hpp"
#include "util/text.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::layers {
namespace {

constexpr std::size_t kMaxMap = std::size_t{64} << 10U;

struct Range {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
};

// Lines of "first-inside first-outside count", padded with blanks. Spec: user_namespaces(7).
std::vector<Range> read_map(const std::string& path) {
    std::vector<Range> out;
    const std::string text = util::read_file(path, kMaxMap);
    for (const std::string_view line : util::split(text, '\n')) {
        std::vector<std::uint64_t> numbers;
        for (const std::string_view word : util::split(line, ' ')) {
            if (const auto number = util::parse_number(word)) numbers.push_back(*number);
        }
        if (numbers.size() == 3) out.push_back({.first = numbers[0], .count = numbers[2]});
    }
    return out;
}

bool contains(const std::vector<Range>& map, std::uint32_t id) {
    for (const Range& range : map) {
        if (id >= range.first && id - range.first < range.count) return true;
    }
    return false;
}

}  // namespace

bool is_mapped_uid(std::uint32_t uid) {
    return contains(read_map("/proc/self/uid_map"), uid);
}

bool is_mapped_gid(std::uint32_t gid) {
    return contains(read_map("/proc/self/gid_map"), gid);
}

}  // namespace imgbuild::layers
