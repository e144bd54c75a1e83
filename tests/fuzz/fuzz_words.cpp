// Expansion of one word, with variables that are set, empty and unset; the first byte chooses the mode.
#include "tests/fuzz/fuzz.hpp"

#include "parser/expand.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto bit = [&](unsigned index) { return ((data[0] >> index) & 1U) != 0; };
    const imgbuild::parser::ExpandMode mode{
        .raw_quotes = bit(0), .raw_escapes = bit(1), .skip_unset = bit(2), .ignore_quotes = bit(3)};
    const imgbuild::parser::WordExpander expander(
        imgbuild::parser::environment_of({{"a", "one two"}, {"b", ""}, {"path", "/usr/local/bin"}}),
        bit(4) ? '`' : '\\', mode);
    const auto word = imgbuild::fuzz::text_of(data + 1, size - 1);
    imgbuild::fuzz::attempt([&] { expander.expand_with_uses(word); });
    imgbuild::fuzz::attempt([&] { expander.expand_words(word); });
    imgbuild::fuzz::attempt([&] { expander.expand_text(word); });
    return 0;
}
