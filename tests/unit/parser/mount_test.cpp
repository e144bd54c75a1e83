#include "parser/mount.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

using namespace imgbuild;
using namespace imgbuild::parser;

namespace {

Mount resolve(std::string_view text) {
    const WordExpander expander(environment_of({{"X", "x,y=z"}, {"N", "7"}}));
    return resolve_mount(parse_mount_flag(text, {2, 5, 2, 20}), expander);
}

}  // namespace

TEST_CASE("a mount without a type is a read-only bind") {
    const Mount mount = resolve("target=/a,src=b,from=c");
    CHECK(mount.type == MountType::bind);
    CHECK(mount.read_only);
    CHECK(mount.source == "b");
    CHECK(mount.from == "c");
    CHECK_FALSE(resolve("target=/a,rw").read_only);
    CHECK(resolve("from=c").target.empty());
    CHECK_FALSE(resolve("target=/a,readonly=false").read_only);
}

TEST_CASE("every type has its defaults") {
    const Mount cache = resolve("type=cache,target=/a//b/");
    CHECK(cache.id == "/a/b");
    CHECK_FALSE(cache.read_only);
    CHECK(cache.sharing == CacheSharing::shared);
    const Mount secret = resolve("type=secret,id=aws");
    CHECK(secret.target == "/run/secrets/aws");
    CHECK(resolve("type=secret,target=/etc/key").id == "key");
    CHECK(resolve("type=secret,id=a,env=A").target.empty());
    CHECK(resolve("type=ssh").id == "default");
    CHECK(resolve("type=tmpfs,target=/t,size=10m").size == 10U << 20U);
}

TEST_CASE("values are expanded after the options are cut, so they cannot add any") {
    const Mount mount = resolve("type=cache,target=/c,id=$X,uid=${N},mode=0750,sharing=private");
    CHECK(mount.id == "x,y=z");
    CHECK(mount.uid == 7U);
    CHECK(mount.mode == 0750U);
    CHECK(mount.sharing == CacheSharing::exclusive);
}

TEST_CASE("a quoted field may hold commas and quotes") {
    const MountFlag flag = parse_mount_flag("\"target=/a,\"\"b\"\"\",ro", {});
    REQUIRE(flag.options.size() == 2);
    CHECK(flag.options[0].value == "/a,\"b\"");
    CHECK(thrown_code([] { parse_mount_flag("\"target=/a", {}); }) == "parse.bad-flag-value");
    CHECK(thrown_code([] { parse_mount_flag("\"target=/a\"b", {}); }) == "parse.bad-flag-value");
}

TEST_CASE("keys are read in any case") {
    CHECK(resolve("TYPE=tmpfs,Target=/t").type == MountType::tmpfs);
}

TEST_CASE("what a mount cannot mean is refused and located") {
    const auto text =
        GENERATE("target=/", "target=/a/..", "type=foo,target=/a", "target=/a,uid=1", "type=tmpfs,target=/a,source=b",
                 "target=/a,bogus=1", "type=secret", "target", "type=cache,target=/a,sharing=x", "target=/a,ro=maybe",
                 "type=secret,id=a,mode=9", "type=cache,target=/a,uid=99999999999999");
    try {
        resolve(text);
        FAIL("accepted " << text);
    } catch (const Error& error) {
        CHECK(error.code() == "parse.bad-mount");
        REQUIRE(error.where());
        CHECK(error.where()->span.column == 5);
    }
}

TEST_CASE("a misspelt key is answered with the right one") {
    try {
        resolve("targt=/a");
        FAIL("accepted");
    } catch (const Error& error) {
        CHECK(error.hint() == "did you mean target?");
    }
}
