// What every instruction's reader needs of its line. Private to the sources instruction_*.cpp.
#pragma once

#include <imgbuild/error.hpp>

#include "parser/arguments.hpp"
#include "parser/builder_flags.hpp"
#include "parser/instructions.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::parser {

struct InstructionSource {
    const Node& node;
    Keyword keyword;
    char escape;
    Arguments arguments;
    std::vector<Diagnostic>& problems;

    std::string_view name() const { return keyword_name(keyword); }
    const std::vector<Word>& words() const { return arguments.words; }
    /// All throw "parse.wrong-arguments".
    const Word& exactly_one() const;
    void at_least_one() const;
    /// Throws "parse.unknown-flag" if there are any.
    void no_flags() const;
    /// Notes a problem that leaves the instruction readable.
    void late(std::string code, std::string message, std::string hint, Span span) const;
};

/// Throws "parse.wrong-arguments" at the instruction.
[[noreturn]] void reject_arguments(const InstructionSource& source, std::string message, std::string hint = {});

CommandLine command_of(const InstructionSource& source, std::size_t first = 0);
HeredocFile heredoc_file(const Heredoc& heredoc);

Run parse_run(const InstructionSource& source);
Copy parse_copy(const InstructionSource& source);
Add parse_add(const InstructionSource& source);
Healthcheck parse_healthcheck(const InstructionSource& source);
Onbuild parse_onbuild(const InstructionSource& source);

}  // namespace imgbuild::parser
