#include "parser/json_array.hpp"

#include "tests/support/catch.hpp"

using namespace imgbuild::parser;

namespace {

std::vector<std::string> items(std::string_view text) {
    std::vector<std::string> result;
    for (const JsonArray::Item& item : parse_json_array(text).items) {
        result.push_back(item.text);
    }
    return result;
}

}  // namespace

TEST_CASE("a list of strings is read with its escapes") {
    CHECK(items(R"( [ "a" , "\u0041\n\/" ] )") == std::vector<std::string>{"a", "A\n/"});
    CHECK(items(R"(["\ud83d\ude00", "\ud800x"])") == std::vector<std::string>{"\U0001F600", "\uFFFDx"});
    CHECK(parse_json_array("[]").kind == JsonArray::Kind::strings);
}

TEST_CASE("items know where their literals stand") {
    const JsonArray array = parse_json_array(R"(["a", "bc"])");
    CHECK(array.items.at(1).begin == 6);
    CHECK(array.items.at(1).end == 10);
}

TEST_CASE("a list of anything else is JSON, but no list of strings") {
    const auto text = GENERATE(R"(["a", 1])", "[null]", "[[]]", R"([{"a": [1.5e3, true]}])", "[-0.1]");
    CHECK(parse_json_array(text).kind == JsonArray::Kind::other_items);
}

TEST_CASE("what is no JSON list is left to the shell") {
    const auto text = GENERATE("", "a", "[", "[\"a\"", "[\"a\",]", "[\"a\"] x", "['a']", "[\"\\x\"]", "[01]", "[1.]",
                               "[ -f x ] && y", "[\"a\nb\"]", "{}", "[\"\\u12\"]");
    CHECK(parse_json_array(text).kind == JsonArray::Kind::no_array);
}

TEST_CASE("nesting is bounded") {
    CHECK(parse_json_array(std::string(200000, '[')).kind == JsonArray::Kind::no_array);
}

TEST_CASE("a member of an object is found only if all of it is JSON") {
    CHECK(find_json_string_member(R"({"a": 1, "syntax": "x"})", "syntax") == "x");
    CHECK_FALSE(find_json_string_member(R"({"syntax": "x"} y)", "syntax"));
    CHECK_FALSE(find_json_string_member(R"({"syntax": 1})", "syntax"));
    CHECK_FALSE(find_json_string_member(R"({})", "syntax"));
}
