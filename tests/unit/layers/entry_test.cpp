#include "layers/entry.hpp"

#include "tests/support/catch.hpp"

#include <algorithm>
#include <string>
#include <vector>

using namespace imgbuild::layers;

TEST_CASE("a directory comes directly before what is in it, whatever bytes its neighbours have") {
    const std::vector<std::string> ordered{"", "a", "a/b", "a/b/c", "a/z", "a!", "a-b", "a-b/c", "ab", "b", "\xff"};
    std::vector<std::string> shuffled(ordered.rbegin(), ordered.rend());
    std::sort(shuffled.begin(), shuffled.end(), PathLess{});
    CHECK(shuffled == ordered);
}

TEST_CASE("a path is inside a directory only below a slash") {
    CHECK(is_inside("a/b", "a"));
    CHECK(is_inside("a/b/c", "a"));
    CHECK(is_inside("a", ""));
    CHECK_FALSE(is_inside("a", "a"));
    CHECK_FALSE(is_inside("ab", "a"));
    CHECK_FALSE(is_inside("", ""));
}

TEST_CASE("file capabilities of a user namespace become those of an image") {
    imgbuild::util::Xattrs xattrs;
    xattrs["security.capability"] = std::string("\x01\x00\x00\x03", 4) + std::string(16, 'c') + std::string(4, 'r');
    normalise_capabilities(xattrs);
    CHECK(xattrs["security.capability"] == std::string("\x01\x00\x00\x02", 4) + std::string(16, 'c'));
}

TEST_CASE("file capabilities of revision 1, which no kernel takes any more, become those of revision 2") {
    imgbuild::util::Xattrs xattrs;
    xattrs["security.capability"] = std::string("\x01\x00\x00\x01", 4) + std::string(8, 'c');
    normalise_capabilities(xattrs);
    CHECK(xattrs["security.capability"] ==
          std::string("\x01\x00\x00\x02", 4) + std::string(8, 'c') + std::string(8, '\0'));
}

TEST_CASE("file capabilities of revision 2 stay as they are") {
    imgbuild::util::Xattrs xattrs;
    const std::string value = std::string("\x01\x00\x00\x02", 4) + std::string(16, 'c');
    xattrs["security.capability"] = value;
    normalise_capabilities(xattrs);
    CHECK(xattrs["security.capability"] == value);
}
