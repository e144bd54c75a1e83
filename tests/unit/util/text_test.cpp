#include "util/text.hpp"

#include "tests/support/catch.hpp"

using namespace imgbuild::util;

TEST_CASE("a quoted string cannot garble a terminal") {
    const auto [text, expected] = GENERATE(table<std::string, std::string>({
        {"plain", "'plain'"},
        {"it's", "'it\\'s'"},
        {"a\nb\tc", "'a\\nb\\tc'"},
        {"\x1b[31m", "'\\x1b[31m'"},
        {"\xff\xfe", "'\\xff\\xfe'"},
        {"\xc2\x9b", "'\\u009b'"},
        {"grün", "'grün'"},
    }));
    CHECK(quote(text) == expected);
}

TEST_CASE("a long string is cut in the middle when quoted") {
    const std::string quoted = quote(std::string(5000, 'a') + "end");
    CHECK(quoted.size() < 500);
    CHECK(quoted.ends_with("end'"));
}

TEST_CASE("UTF-8 is valid only in its shortest form") {
    CHECK(is_valid_utf8("aä€😀"));
    CHECK_FALSE(is_valid_utf8("\xc0\x80"));
    CHECK_FALSE(is_valid_utf8("\xed\xa0\x80"));
    CHECK_FALSE(is_valid_utf8("\xe2\x82"));
    CHECK_FALSE(is_valid_utf8("\xf4\x90\x80\x80"));
}

TEST_CASE("the nearest word is near") {
    CHECK(nearest("CPOY", {"COPY", "CMD", "RUN"}) == "COPY");
    CHECK(nearest("copy", {"COPY", "CMD"}) == "COPY");
    CHECK_FALSE(nearest("wholly-different", {"COPY", "CMD"}));
    CHECK_FALSE(nearest("X", {"COPY"}));
}

TEST_CASE("a number is all digits and fits") {
    CHECK(parse_number("18446744073709551615") == 18446744073709551615U);
    CHECK_FALSE(parse_number("18446744073709551616"));
    CHECK_FALSE(parse_number(""));
    CHECK_FALSE(parse_number("-1"));
    CHECK_FALSE(parse_number("1 "));
}

TEST_CASE("sizes are told in decimal units") {
    CHECK(human_size(999) == "999 B");
    CHECK(human_size(1500) == "1.5 kB");
    CHECK(human_size(20'000'000) == "20 MB");
    CHECK(human_size(999'999) == "1.0 MB");
}

TEST_CASE("split keeps empty pieces") {
    CHECK(split("a,,b", ',') == std::vector<std::string_view>{"a", "", "b"});
    CHECK(split("", ',') == std::vector<std::string_view>{""});
}
