#include "registry/challenge.hpp"

#include "registry/base64.hpp"
#include "tests/support/catch.hpp"

namespace imgbuild::registry {
namespace {

std::optional<Challenge> choose(std::vector<std::string> headers) {
    return choose_challenge(headers);
}

TEST_CASE("a bearer challenge is read with its quoted parameters") {
    const auto challenge = choose(
        {R"(Bearer realm="https://auth.example/token",service="reg, \"one\"",scope="repository:a/b:pull,push")"});
    REQUIRE(challenge);
    CHECK(challenge->scheme == "bearer");
    CHECK(challenge->parameter("realm") == "https://auth.example/token");
    CHECK(challenge->parameter("service") == "reg, \"one\"");
    CHECK(challenge->parameter("scope") == "repository:a/b:pull,push");
    CHECK(challenge->parameter("error").empty());
}

TEST_CASE("a bearer challenge is preferred to a basic one, in one header or in two") {
    CHECK(choose({R"(Basic realm="a", Bearer realm="b")"})->parameter("realm") == "b");
    CHECK(choose({R"(BASIC realm=a)", R"(bearer Realm=b)"})->parameter("realm") == "b");
    CHECK(choose({R"(Negotiate, Basic realm="a")"})->scheme == "basic");
}

TEST_CASE("what is no challenge that we know is nothing") {
    const std::string header = GENERATE("", "Negotiate", "Bearer", "Bearer service=\"x\"", "=", "\"", "realm=a",
                                        "Bearer realm=\"never closed", "Bearer realm=");
    CHECK_FALSE(choose({header}));
}

TEST_CASE("a malformed end does not take the beginning with it") {
    const auto challenge = choose({R"(Bearer realm="https://a/", service=)"});
    REQUIRE(challenge);
    CHECK(challenge->parameter("realm") == "https://a/");
}

TEST_CASE("hostile headers are bounded") {
    std::string many;
    for (int i = 0; i < 10000; ++i) many += "Basic x=y,";
    CHECK(parse_challenges(many).size() <= 16);
}

TEST_CASE("base64 is decoded to what was encoded") {
    const auto [plain, encoded] = GENERATE(table<std::string, std::string>({{"", ""},
                                                                            {"f", "Zg=="},
                                                                            {"fo", "Zm8="},
                                                                            {"foo", "Zm9v"},
                                                                            {"foob", "Zm9vYg=="},
                                                                            {"user:pass", "dXNlcjpwYXNz"}}));
    CHECK(base64_encode(plain) == encoded);
    CHECK(base64_decode(encoded) == plain);
}

TEST_CASE("base64 is read with or without padding, and nothing else is") {
    CHECK(base64_decode("Zg") == "f");
    CHECK(base64_decode(" Zm8=\n") == "fo");
    CHECK_FALSE(base64_decode("Zm9vY"));
    CHECK_FALSE(base64_decode("Zm*v"));
    CHECK_FALSE(base64_decode("Z=m8"));
}

}  // namespace
}  // namespace imgbuild::registry
