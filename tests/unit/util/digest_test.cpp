#include <imgbuild/digest.hpp>
#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

using imgbuild::Digest;

namespace {
const std::string kHex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
}

TEST_CASE("a digest prints as it was read") {
    const auto digest = Digest::parse("sha256:" + kHex);
    REQUIRE(digest);
    CHECK(digest->text() == "sha256:" + kHex);
    CHECK(digest->brief() == "e3b0c44298fc");
}

TEST_CASE("only lower-case sha256 of the right length is a digest") {
    const std::string text = GENERATE(as<std::string>{}, "", "sha256:", "sha256:abc", "sha512:" + kHex, kHex,
                                      "sha256:" + kHex + "0", "sha256:E3" + kHex.substr(2), "sha256:" + kHex + "\n");
    CHECK_FALSE(Digest::parse(text));
    CHECK_THROWS_AS(Digest::require(text, "the config"), imgbuild::CorruptData);
}
