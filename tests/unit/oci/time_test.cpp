#include "oci/time.hpp"

#include "tests/support/catch.hpp"

namespace imgbuild::oci {
namespace {

TEST_CASE("times are read with fractions and offsets and printed in UTC") {
    const auto [text, expected] = GENERATE(table<std::string, std::string>({
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
        {"2015-10-31T22:22:56.015925234Z", "2015-10-31T22:22:56.015925234Z"},
        {"2015-10-31T22:22:56.500Z", "2015-10-31T22:22:56.5Z"},
        {"2015-10-31T22:22:56.0000000001Z", "2015-10-31T22:22:56Z"},
        {"2024-02-29T01:00:00+02:00", "2024-02-28T23:00:00Z"},
        {"2024-12-31T23:30:00-01:00", "2025-01-01T00:30:00Z"},
        {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
        {"9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"},
    }));
    INFO(text);
    REQUIRE(parse_time(text));
    CHECK(format_time(*parse_time(text)) == expected);
}

TEST_CASE("what is no time is nothing") {
    const std::string text =
        GENERATE("", "2015", "2015-10-31", "2015-10-31 22:22:56Z", "2015-10-31T22:22:56", "2015-13-01T00:00:00Z",
                 "2023-02-29T00:00:00Z", "2015-10-31T24:00:00Z", "2015-10-31T22:60:00Z", "2015-10-31T22:22:60Z",
                 "2015-10-31T22:22:56.Z", "2015-10-31T22:22:56Zx", "2015-10-31T22:22:56+2:00", "+015-10-31T22:22:56Z",
                 "0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-00:01");
    INFO(text);
    CHECK_FALSE(parse_time(text));
}

}  // namespace
}  // namespace imgbuild::oci
