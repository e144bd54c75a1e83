// A whole build file: its stages, and everything that is wrong with it.
#pragma once

#include "parser/instructions.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::parser {

struct Stage {
    /// Lower case; empty if the stage has no name. Two stages may have the same name: the later one wins.
    std::string name;
    From from;
    /// FROM as written.
    std::string keyword;
    Span keyword_span;
    /// The FROM line as written.
    std::string original;
    /// The FROM instruction.
    Span span;
    /// From the comment above: "# NAME text".
    std::string description;
    std::vector<std::string> previous_comment;
    std::vector<Instruction> instructions;
};

struct BuildFile {
    std::shared_ptr<const SourceFile> source;
    std::vector<Directive> directives;
    char escape = '\\';
    /// ARGs above the first FROM.
    std::vector<Instruction> global_args;
    std::vector<Stage> stages;
    /// All of them, errors and warnings, in the order of the file.
    std::vector<Diagnostic> diagnostics;

    bool has_errors() const;
    /// Throws ParseError with all diagnostics if one of them is an error.
    const BuildFile& require_valid() const;
    /// The latest stage of that name (any case), or of that index if `name` is a number; npos if there is none.
    std::size_t find_stage(std::string_view name) const;
    static constexpr std::size_t npos = static_cast<std::size_t>(-1);
};

/// Never throws for bad input. What is wrong is in the diagnostics, and the rest of the file is still there.
/// Instructions with errors are left out of their stage, except for those that only a later step would stumble over.
BuildFile parse_file(std::shared_ptr<const SourceFile> source);

}  // namespace imgbuild::parser
