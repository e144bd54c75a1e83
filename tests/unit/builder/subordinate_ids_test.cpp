#include "builder/sandbox/subordinate_ids.hpp"

#include "tests/support/catch.hpp"

using namespace imgbuild::sandbox;

namespace {

using Ranges = std::vector<IdRange>;

}  // namespace

TEST_CASE("a user's subordinate ids are found by name and by number") {
    const std::string text =
        "ann:100000:65536\n"
        "1000:300000:10\n"
        "anna:400000:10\n"
        "ann:500000:20\n";
    CHECK(parse_subordinate_ids(text, "ann", 1000) == Ranges{{0, 100000, 65536}, {0, 300000, 10}, {0, 500000, 20}});
    CHECK(parse_subordinate_ids(text, "", 1000) == Ranges{{0, 300000, 10}});
    CHECK(parse_subordinate_ids(text, "bob", 1001).empty());
}

TEST_CASE("lines that are no subordinate ids are left out") {
    const std::string text = GENERATE("", "\n\n", "ann", "ann:1", "ann:x:5", "ann:1:0", "ann:1:-5", "ann:1:2:3",
                                      "ann:4294967295:1", "ann:4294967290:6", "ann:1:99999999999999999999");
    CHECK(parse_subordinate_ids(text, "ann", 1000).empty());
}

TEST_CASE("the map begins with the user and goes on without gaps") {
    const Ranges map = subordinate_map(1000, {{0, 100000, 10}, {0, 500000, 20}});
    CHECK(map == Ranges{{0, 1000, 1}, {1, 100000, 10}, {11, 500000, 20}});
    CHECK(map_arguments(map) == std::vector<std::string>{"0", "1000", "1", "1", "100000", "10", "11", "500000", "20"});
}

TEST_CASE("a map stays within what the kernel takes") {
    const Ranges many(500, IdRange{0, 100000, 1});
    CHECK(subordinate_map(1000, many).size() == 340);
    const Ranges huge = subordinate_map(1000, {{0, 1, 4294967294U}, {0, 5, 10}});
    CHECK(huge == Ranges{{0, 1000, 1}, {1, 1, 4294967294U}});
}
