// A whole build file. Never throws; diagnostics point into the text.
#include "tests/fuzz/fuzz.hpp"

#include "parser/file.hpp"
#include "util/assert.hpp"

#include <algorithm>
#include <memory>
#include <string>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(imgbuild::fuzz::text_of(data, size));
    const auto lines = static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n')) + 1;
    const auto source = std::make_shared<const imgbuild::SourceFile>(imgbuild::SourceFile{"Buildfile", text});
    for (const auto& diagnostic : imgbuild::parser::parse_file(source).diagnostics) {
        IMGBUILD_ASSERT(diagnostic.span.line <= lines);
        IMGBUILD_ASSERT(!diagnostic.code.empty() && !diagnostic.message.empty());
    }
    return 0;
}
