#include "parser/characters.hpp"

#include "tests/support/catch.hpp"

using namespace imgbuild::parser;

TEST_CASE("characters are read as UTF-8 and broken bytes count one by one") {
    CHECK(character_at("\u20ac", 0).code == 0x20AC);
    CHECK(character_at("\u20ac", 0).length == 3);
    const auto broken = GENERATE("\x80", "\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xE2\x82");
    CHECK(character_at(broken, 0).code == kNoCharacter);
    CHECK(character_at(broken, 0).length == 1);
}

TEST_CASE("what is written as UTF-8 is read back") {
    for (char32_t code : {U'a', U'\u00e9', U'\u20ac', U'\U0001F600', char32_t{0x10FFFF}}) {
        std::string text;
        append_utf8(text, code);
        CHECK(character_at(text, 0).code == code);
        CHECK(character_at(text, 0).length == text.size());
    }
}

TEST_CASE("white space of Unicode is trimmed on both sides") {
    CHECK(trim_spaces("\u00a0 \t\u2003x y\u3000\n") == "x y");
    CHECK(trim_spaces(" \n").empty());
    CHECK(trim_right("x\xA0") == "x\xA0");
}

TEST_CASE("names may hold letters of any script") {
    CHECK(is_name_character(U'_'));
    CHECK(is_name_character(U'\ud55c'));
    CHECK_FALSE(is_name_character(U'.'));
    CHECK_FALSE(is_name_character(U'\u2014'));
    CHECK_FALSE(is_name_character(kNoCharacter));
}
