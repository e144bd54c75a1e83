// What the tests of the parser share.
#pragma once

#include <imgbuild/error.hpp>

#include "parser/file.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace imgbuild::parser {

inline std::shared_ptr<const SourceFile> source_of(std::string text) {
    return std::make_shared<const SourceFile>(SourceFile{"Buildfile", std::move(text)});
}

inline BuildFile parse(std::string text) {
    return parse_file(source_of(std::move(text)));
}

/// The instruction of a file with one stage and one instruction in it.
template <class Body>
Body only(const std::string& line) {
    const BuildFile file = parse("FROM base\n" + line + "\n");
    file.require_valid();
    return std::get<Body>(file.stages.at(0).instructions.at(0).body);
}

/// The codes of all errors, in order.
inline std::vector<std::string> error_codes(const BuildFile& file) {
    std::vector<std::string> codes;
    for (const Diagnostic& diagnostic : file.diagnostics) {
        if (diagnostic.severity == Severity::error) {
            codes.push_back(diagnostic.code);
        }
    }
    return codes;
}

/// The code of the one error of a file, "" if it has none.
inline std::string error_code(const std::string& text) {
    const std::vector<std::string> codes = error_codes(parse(text));
    return codes.empty() ? "" : codes.front();
}

/// The code of the Error that `body` throws, "" if it throws none.
template <class Body>
std::string thrown_code(const Body& body) {
    try {
        body();
    } catch (const Error& error) {
        return error.code();
    }
    return "";
}

/// The bytes of the file that a span covers; only for spans within one line.
inline std::string text_at(const SourceFile& file, Span span) {
    std::size_t begin = 0;
    for (std::uint32_t line = 1; line < span.line; ++line) {
        begin = file.text.find('\n', begin) + 1;
    }
    return file.text.substr(begin + span.column - 1, span.end_column - span.column);
}

}  // namespace imgbuild::parser
