// A whole build file. Never throws; diagnostics point into the text; what is printed reads as the same.
#include "tests/fuzz/fuzz.hpp"

#include "parser/file.hpp"
#include "parser/print.hpp"
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
    const imgbuild::parser::Ast ast = imgbuild::parser::parse_ast(*source);
    const bool valid = std::none_of(ast.diagnostics.begin(), ast.diagnostics.end(), [](const auto& diagnostic) {
        return diagnostic.severity == imgbuild::Severity::error;
    });
    if (valid && size < 30000) {
        const std::string printed = imgbuild::parser::print_ast(ast);
        IMGBUILD_ASSERT(imgbuild::parser::print_ast(imgbuild::parser::parse_ast({"Buildfile", printed})) == printed);
    }
    return 0;
}
