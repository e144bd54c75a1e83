#include "builder/sandbox/memory_facts.hpp"

#include "tests/support/catch.hpp"

#include <limits>
#include <map>

using namespace imgbuild::sandbox;

namespace {

using Files = std::map<std::string, std::string>;

MemoryFacts found_in(const Files& files) {
    return find_memory([&](const std::string& path) -> std::optional<std::string> {
        const auto at = files.find(path);
        return at == files.end() ? std::nullopt : std::optional(at->second);
    });
}

const std::string kMemory =
    "MemTotal:       24683656 kB\nMemFree:        15333388 kB\nMemAvailable:   22929408 kB\nBuffers: 1 kB\n";

}  // namespace

TEST_CASE("without a limit the machine's available memory is what there is") {
    const MemoryFacts facts = found_in({{"/proc/meminfo", kMemory}, {"/proc/self/cgroup", "0::/\n"}});
    CHECK(facts.available == 22929408ULL * 1024);
    CHECK_FALSE(facts.group_left);
    CHECK(free_memory(facts) == 22929408ULL * 1024);
}

TEST_CASE("the tightest of our control group and those above it counts, less what it uses") {
    const MemoryFacts facts = found_in({{"/proc/self/cgroup", "0::/a/b\n"},
                                        {"/sys/fs/cgroup/a/b/memory.max", "max\n"},
                                        {"/sys/fs/cgroup/a/b/memory.current", "100\n"},
                                        {"/sys/fs/cgroup/a/memory.max", "5000\n"},
                                        {"/sys/fs/cgroup/a/memory.current", "3000\n"},
                                        {"/sys/fs/cgroup/a/memory.stat", "anon 7\ninactive_file 400\nfile 800\n"}});
    CHECK(facts.group_left == 5000 - (3000 - 400));
}

TEST_CASE("in a container our group is the root of what we see") {
    const MemoryFacts facts =
        found_in({{"/proc/meminfo", kMemory},
                  {"/proc/self/cgroup", "5:cpu,memory:/docker/0123\n0::/docker/0123\n"},
                  {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n"},
                  {"/sys/fs/cgroup/memory/memory.usage_in_bytes", "300\n"},
                  {"/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 100\n"}});
    CHECK(facts.group_left == 800);
    CHECK(free_memory(facts) == 800);
}

TEST_CASE("a group that uses more than its limit has nothing left") {
    CHECK(found_in({{"/proc/self/cgroup", "0::/\n"},
                    {"/sys/fs/cgroup/memory.max", "100"},
                    {"/sys/fs/cgroup/memory.current", "300"}})
              .group_left == 0);
}

TEST_CASE("a machine that says nothing sets no limit") {
    const Files files =
        GENERATE(Files{}, Files{{"/proc/self/cgroup", "nonsense\n\n:\n"}, {"/proc/meminfo", "MemAvailable"}},
                 Files{{"/proc/self/cgroup", "0::\n"}, {"/sys/fs/cgroup/memory.max", "-1"}});
    CHECK(found_in(files) == MemoryFacts{});
    CHECK(free_memory(found_in(files)) == std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("this machine has memory") {
    CHECK(free_memory(find_memory()) > 0);
    CHECK(find_memory().available);
}
