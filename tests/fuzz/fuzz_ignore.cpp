// An ignore file and a path to judge: the path is the first line. What a walk may skip must be excluded.
#include "tests/fuzz/fuzz.hpp"

#include "parser/ignore.hpp"
#include "util/assert.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = imgbuild::fuzz::text_of(data, size);
    const auto end = text.find('\n');
    if (end == std::string_view::npos || end == 0) return 0;
    imgbuild::fuzz::attempt([&] {
        const imgbuild::parser::IgnoreMatcher ignore(imgbuild::parser::read_ignore_file(text.substr(end + 1)));
        const auto path = text.substr(0, end);
        const bool excluded = ignore.excluded(path);
        IMGBUILD_ASSERT(excluded || !ignore.can_skip(path));
    });
    return 0;
}
