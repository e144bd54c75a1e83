#include "builder/ops/users.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;
using builder::test::error_code;

namespace {

const std::string kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "# dev:x:7:7::/:\n"
    "broken line\n"
    "far:x:4294967295:0::/:\n"
    "dev:x:1000:100:Dev:/home/dev:/bin/sh\n"
    "1234:x:55:56::/numbers:\n";
const std::string kGroup =
    "root:x:0:\n"
    "users:x:100:dev\n"
    "wheel:x:998:root,dev\n"
    "docker:x:20:dev\n"
    "bad:x:minus:dev\n";

}  // namespace

TEST_CASE("lines of a passwd file that are malformed or comments are passed over") {
    const auto users = parse_passwd(kPasswd);
    REQUIRE(users.size() == 3);
    CHECK(users[1].name == "dev");
    CHECK(users[1].home == "/home/dev");
}

TEST_CASE("lines of a group file that are malformed are passed over") {
    const auto groups = parse_group(kGroup);
    REQUIRE(groups.size() == 4);
    CHECK(groups[2].members == std::vector<std::string>{"root", "dev"});
}

TEST_CASE("a user is found by name or number with its group and home") {
    const auto user = GENERATE(as<std::string>(), "dev", "1000");
    const ResolvedUser resolved = resolve_user(user, kPasswd, kGroup);
    CHECK(resolved.uid == 1000);
    CHECK(resolved.gid == 100);
    CHECK(resolved.home == "/home/dev");
}

TEST_CASE("supplementary groups are the own group, then those that list the user, sorted") {
    CHECK(resolve_user("dev", kPasswd, kGroup).groups == std::vector<std::uint32_t>{100, 20, 998});
}

TEST_CASE("with a group given there are no supplementary groups") {
    const auto [text, gid] =
        GENERATE(table<std::string, std::uint32_t>({{"dev:wheel", 998}, {"dev:5", 5}, {"1000:root", 0}}));
    const ResolvedUser resolved = resolve_user(text, kPasswd, kGroup);
    CHECK(resolved.uid == 1000);
    CHECK(resolved.groups == std::vector<std::uint32_t>{gid});
}

TEST_CASE("a number needs no entry") {
    const ResolvedUser resolved = resolve_user("4711", std::nullopt, std::nullopt);
    CHECK(resolved.uid == 4711);
    CHECK(resolved.gid == 0);
    CHECK(resolved.home.empty());
}

TEST_CASE("a name that looks like a number is a name first") {
    CHECK(resolve_user("1234", kPasswd, kGroup).uid == 55);
}

TEST_CASE("nobody in particular is root") {
    CHECK(resolve_user("", std::nullopt, std::nullopt).uid == 0);
    CHECK(resolve_user("", kPasswd, kGroup).home == "/root");
}

TEST_CASE("names that the image does not know are errors") {
    const auto [text, code] = GENERATE(table<std::string, std::string>({
        {"ghost", "build.unknown-user"},
        {"dev:ghosts", "build.unknown-group"},
        {"4294967295", "build.unknown-user"},
        {"-1", "build.unknown-user"},
    }));
    CHECK(error_code([&given = text] { resolve_user(given, kPasswd, kGroup); }) == code);
}
