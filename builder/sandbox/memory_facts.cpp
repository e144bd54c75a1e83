#include "builder/sandbox/memory_facts.hpp"

#include <imgbuild/error.hpp>

#include <algorithm>
#include <limits>
#include <string_view>

#include "builder/sandbox/user_facts.hpp"
#include "util/text.hpp"

#include <fmt/core.h>

namespace imgbuild::sandbox {
namespace {

/// The files of a control group in which a version keeps what we ask for.
struct GroupFiles {
    const char* mount;
    /// In /proc/self/cgroup, between the colons.
    const char* controller;
    const char* limit;
    const char* usage;
    /// A line of memory.stat.
    const char* idle_cache;
};

constexpr GroupFiles kVersion2 = {"/sys/fs/cgroup", "", "memory.max", "memory.current", "inactive_file"};
constexpr GroupFiles kVersion1 = {"/sys/fs/cgroup/memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                  "total_inactive_file"};

/// The number behind `name` in lines of "name number", with or without a colon and a unit.
std::optional<std::uint64_t> field(std::string_view text, std::string_view name) {
    for (const std::string_view line : util::split(text, '\n')) {
        if (!line.starts_with(name) || line.size() == name.size()) continue;
        std::string_view rest = line.substr(name.size());
        if (rest.front() != ' ' && rest.front() != ':') continue;
        rest = util::trim(rest, ": \t");
        return util::parse_number(rest.substr(0, rest.find(' ')));
    }
    return std::nullopt;
}

std::optional<std::uint64_t> number_in(const ReadSystemFile& read, const std::string& path) {
    const auto text = read(path);
    return text ? util::parse_number(util::trim(*text)) : std::nullopt;
}

/// Where /proc/self/cgroup says that we are: "4:memory:/path", "1:cpu,memory:/path", or "0::/path".
std::optional<std::string> group_of(std::string_view text, std::string_view controller) {
    for (const std::string_view line : util::split(text, '\n')) {
        const auto first = line.find(':');
        const auto second = line.find(':', first == std::string_view::npos ? first : first + 1);
        if (second == std::string_view::npos) continue;
        const std::string_view names = line.substr(first + 1, second - first - 1);
        const auto all = util::split(names, ',');
        const bool is_it =
            controller.empty() ? names.empty() : std::find(all.begin(), all.end(), controller) != all.end();
        if (is_it) return std::string(line.substr(second + 1));
    }
    return std::nullopt;
}

std::optional<std::uint64_t> left_in(const ReadSystemFile& read, const std::string& directory,
                                     const GroupFiles& files) {
    // "max" is no number. Version 1 says a number so large that it never is the smallest.
    const auto limit = number_in(read, fmt::format("{}/{}", directory, files.limit));
    const auto usage = number_in(read, fmt::format("{}/{}", directory, files.usage));
    if (!limit || !usage) return std::nullopt;
    const auto idle = field(read(directory + "/memory.stat").value_or(""), files.idle_cache).value_or(0);
    const std::uint64_t used = *usage - std::min(*usage, idle);
    return *limit - std::min(*limit, used);
}

/// Inside a container our path may be one that only the outside has; then the mount's root is our group, or above it.
std::optional<std::uint64_t> group_left(const ReadSystemFile& read, const GroupFiles& files) {
    const auto group = group_of(read("/proc/self/cgroup").value_or(""), files.controller);
    if (!group) return std::nullopt;
    std::optional<std::uint64_t> out;
    for (std::string path = *group == "/" ? "" : *group;; path.resize(path.rfind('/'))) {
        if (const auto left = left_in(read, files.mount + path, files)) out = std::min(out.value_or(*left), *left);
        if (path.find('/') == std::string::npos) return out;
    }
}

std::optional<std::uint64_t> smaller(std::optional<std::uint64_t> a, std::optional<std::uint64_t> b) {
    return a && b ? std::min(a, b) : a ? a : b;
}

}  // namespace

MemoryFacts find_memory(const ReadSystemFile& read) {
    constexpr std::uint64_t kKilobyte = 1024;
    MemoryFacts facts;
    facts.available = field(read("/proc/meminfo").value_or(""), "MemAvailable");
    if (facts.available) *facts.available *= kKilobyte;
    facts.group_left = smaller(group_left(read, kVersion2), group_left(read, kVersion1));
    return facts;
}

MemoryFacts find_memory() {
    return find_memory([](const std::string& path) -> std::optional<std::string> {
        try {
            return read_system_file(path);
        } catch (const IoError&) {
            return std::nullopt;  // hidden from us, as /proc and /sys may be in a container
        }
    });
}

std::uint64_t free_memory(const MemoryFacts& facts) {
    return smaller(facts.available, facts.group_left).value_or(std::numeric_limits<std::uint64_t>::max());
}

}  // namespace imgbuild::sandbox
