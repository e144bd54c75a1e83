#include <imgbuild/error.hpp>
#include <imgbuild/platform.hpp>

#include "oci/platform_parts.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/oci/tables.hpp"

#include <optional>

namespace imgbuild::oci {
namespace {

using nlohmann::json;

const Platform kHost{.os = "linux", .architecture = "amd64"};

std::optional<PlatformParts> parsed(const std::string& input) {
    try {
        return parse_platform_parts(input, kHost);
    } catch (const UsageError& error) {
        CHECK(error.code() == "usage.bad-platform");
        return std::nullopt;
    }
}

TEST_CASE("platforms are read as containerd reads them") {
    for (const json& row : load_cases("platform")) {
        const std::string input = row.at("input");
        INFO(input);
        const auto parts = parsed(input);
        REQUIRE(parts.has_value() == !row.contains("error"));
        if (!parts) continue;
        const json& expected = row.at("platform");
        CHECK(parts->os == expected.value("os", ""));
        CHECK(parts->architecture == expected.value("architecture", ""));
        CHECK(parts->variant == expected.value("variant", ""));
        CHECK(parts->os_version == expected.value("os.version", ""));
        CHECK(parts->os_features == expected.value("os.features", std::vector<std::string>{}));
        CHECK(parts->text() == row.at("format"));
        CHECK(parts->text_with_version() == row.at("format_all"));
        CHECK(parts->normalized().text_with_version() == row.at("normalized"));
    }
}

TEST_CASE("reserved characters of a version are printed escaped") {
    for (const json& row : load_cases("platform_format")) {
        const json& platform = row.at("platform");
        const PlatformParts parts{.os = platform.at("os"),
                                  .architecture = platform.at("architecture"),
                                  .os_version = platform.at("osversion")};
        CHECK(parts.text_with_version() == row.at("expected"));
    }
}

TEST_CASE("a broken escape in a version is refused") {
    CHECK_THROWS_AS(parse_platform_parts("windows(50%)", kHost), UsageError);
    CHECK_THROWS_AS(parse_platform_parts("windows(50%4)", kHost), UsageError);
    CHECK_THROWS_AS(parse_platform_parts("windows(50%zz)", kHost), UsageError);
}

TEST_CASE("a lone operating system gets the host's architecture") {
    const Platform old_board{.os = "linux", .architecture = "arm", .variant = "v6"};
    CHECK(parse_platform_parts("linux", old_board).normalized().text() == "linux/arm/v6");
}

TEST_CASE("a platform is normalised when it is parsed") {
    CHECK(Platform::parse("linux/x86_64").text() == "linux/amd64");
    CHECK(Platform::parse("linux/arm64/v8").text() == "linux/arm64");
    CHECK(Platform::parse("linux/arm").text() == "linux/arm/v7");
    CHECK(Platform::parse(Platform::host().text()) == Platform::host());
}

TEST_CASE("features of an operating system are refused rather than forgotten") {
    CHECK_THROWS_AS(Platform::parse("linux(+gpu)/amd64"), UsageError);
}

TEST_CASE("an image for an older machine of the same kind stands in") {
    const auto [image, wanted, expected] = GENERATE(table<std::string, std::string, bool>({
        {"linux/amd64", "linux/amd64", true},
        {"linux/amd64", "linux/amd64/v3", true},
        {"linux/amd64/v3", "linux/amd64/v2", false},
        {"linux/amd64/v2", "linux/amd64", false},
        {"linux/arm/v6", "linux/arm/v7", true},
        {"linux/arm/v7", "linux/arm/v6", false},
        {"linux/arm64", "linux/arm64/v9", true},
        {"linux/arm64", "linux/amd64", false},
        {"darwin/amd64", "linux/amd64", false},
    }));
    INFO(image << " for " << wanted);
    CHECK(satisfies(Platform::parse(image), Platform::parse(wanted)) == expected);
}

}  // namespace
}  // namespace imgbuild::oci
