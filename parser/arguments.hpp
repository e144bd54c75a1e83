// The text behind an instruction's keyword and flags, cut into words by the rule of that instruction.
#pragma once

#include "parser/ast.hpp"
#include "parser/instructions.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace imgbuild::parser {

enum class Keyword {
    add,
    arg,
    cmd,
    copy,
    entrypoint,
    env,
    expose,
    from,
    healthcheck,
    label,
    maintainer,
    onbuild,
    run,
    shell,
    stopsignal,
    user,
    volume,
    workdir,
};

/// In any case; nothing for an unknown instruction.
std::optional<Keyword> find_keyword(std::string_view text);
/// In upper case.
std::string_view keyword_name(Keyword keyword);
/// All names, in alphabetical order.
std::vector<std::string_view> keyword_names();

struct Arguments {
    /// Quotes and escapes are still in them, unless they come from a JSON list. ONBUILD and the instructions with
    /// pairs have none.
    std::vector<Word> words;
    /// ENV and LABEL.
    std::vector<KeyValue> pairs;
    /// The words come from a JSON list.
    bool json = false;
};

/// Throws Error: "parse.bad-json-list" for a list with anything but strings, "parse.bad-pair" for ENV and LABEL.
Arguments parse_arguments(const Node& node, Keyword keyword, char escape);

/// What ONBUILD is to do later, as an instruction of its own with the heredocs of the whole; nothing if no word
/// follows.
std::optional<Node> trigger_of(const Node& onbuild, char escape);

}  // namespace imgbuild::parser
