#include "parser/instruction_parser.hpp"

#include "parser/characters.hpp"
#include "parser/instruction_source.hpp"
#include "parser/reject.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace imgbuild::parser {
namespace {

/// ENV, LABEL: every pair needs a name.
std::vector<KeyValue> named_pairs(const InstructionSource& source) {
    source.no_flags();
    if (source.arguments.pairs.empty()) {
        source.at_least_one();
    }
    for (const KeyValue& pair : source.arguments.pairs) {
        if (pair.key.text.empty()) {
            reject_arguments(source, fmt::format("{} names can not be blank", source.name()), "write name=value");
        }
    }
    return source.arguments.pairs;
}

Arg::Item parse_arg_item(const InstructionSource& source, const Word& word) {
    const std::size_t equals = word.text.find('=');
    Arg::Item item;
    item.name = {word.text.substr(0, equals), word.span};
    if (item.name.text.empty()) {
        reject_arguments(source, "ARG names can not be blank", "write ARG name or ARG name=default");
    }
    if (equals != std::string::npos) {
        item.value = Word{word.text.substr(equals + 1), word.span};
    }
    item.description = find_description(source.node.previous_comment, item.name.text);
    return item;
}

Arg parse_arg(const InstructionSource& source) {
    source.no_flags();
    source.at_least_one();
    Arg arg;
    for (const Word& word : source.words()) {
        arg.items.push_back(parse_arg_item(source, word));
    }
    return arg;
}

Shell parse_shell(const InstructionSource& source) {
    source.no_flags();
    source.at_least_one();
    if (!source.arguments.json) {
        reject_arguments(source, "SHELL requires the arguments to be in JSON form", R"(write SHELL ["/bin/sh", "-c"])");
    }
    return {command_of(source).words};
}

CommandLine plain_command(const InstructionSource& source) {
    source.no_flags();
    return command_of(source);
}

std::vector<Word> all_words(const InstructionSource& source) {
    source.no_flags();
    source.at_least_one();
    return source.words();
}

Volume parse_volume(const InstructionSource& source) {
    Volume volume{all_words(source)};
    for (Word& path : volume.paths) {
        path.text = trim_spaces(path.text);
        if (path.text.empty()) {
            reject_arguments(source, "VOLUME specified can not be an empty string", "name a directory");
        }
    }
    return volume;
}

const Word& only_word(const InstructionSource& source) {
    source.no_flags();
    return source.exactly_one();
}

InstructionBody parse_body(const InstructionSource& source) {
    switch (source.keyword) {
        case Keyword::add:
            return parse_add(source);
        case Keyword::arg:
            return parse_arg(source);
        case Keyword::cmd:
            return Cmd{plain_command(source)};
        case Keyword::copy:
            return parse_copy(source);
        case Keyword::entrypoint:
            return Entrypoint{plain_command(source)};
        case Keyword::env:
            return Env{named_pairs(source)};
        case Keyword::expose:
            return Expose{all_words(source)};
        case Keyword::healthcheck:
            return parse_healthcheck(source);
        case Keyword::label:
            return Label{named_pairs(source)};
        case Keyword::maintainer:
            return Maintainer{only_word(source)};
        case Keyword::onbuild:
            return parse_onbuild(source);
        case Keyword::run:
            return parse_run(source);
        case Keyword::shell:
            return parse_shell(source);
        case Keyword::stopsignal:
            return StopSignal{only_word(source)};
        case Keyword::user:
            return User{only_word(source)};
        case Keyword::volume:
            return parse_volume(source);
        case Keyword::workdir:
            return Workdir{only_word(source)};
        case Keyword::from:
            break;
    }
    reject_arguments(source, "FROM begins a stage and can not be part of one");
}

void check_stage_name(const Word& name) {
    const std::string lower = util::to_lower(name.text);
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || std::string_view("-_.").contains(c);
    };
    const bool good = !lower.empty() && lower.front() >= 'a' && lower.front() <= 'z' &&
                      std::all_of(lower.begin(), lower.end(), allowed);
    if (!good) {
        reject("parse.bad-stage-name",
               fmt::format("invalid name for build stage: \"{}\", name can't start with a number or contain symbols",
                           shown(name.text)),
               "use letters, digits, '-', '_' and '.', beginning with a letter", name.span);
    }
}

}  // namespace

const Word& InstructionSource::exactly_one() const {
    if (words().size() != 1) {
        reject_arguments(*this, fmt::format("{} requires exactly one argument", name()));
    }
    return words().front();
}

void InstructionSource::at_least_one() const {
    if (words().empty()) {
        reject_arguments(*this, fmt::format("{} requires at least one argument", name()));
    }
}

void InstructionSource::no_flags() const {
    const FlagSet none(node, {});
}

void InstructionSource::late(std::string code, std::string message, std::string hint, Span span) const {
    problems.push_back({Severity::error, std::move(code), std::move(message), std::move(hint), span});
}

void reject_arguments(const InstructionSource& source, std::string message, std::string hint) {
    const Span arguments = source.node.arguments_span();
    reject("parse.wrong-arguments", std::move(message), std::move(hint),
           source.node.arguments().empty() ? source.node.keyword_span : arguments);
}

CommandLine command_of(const InstructionSource& source, std::size_t first) {
    CommandLine command;
    command.form = source.arguments.json ? CommandLine::Form::exec : CommandLine::Form::shell;
    for (std::size_t i = first; i < source.words().size(); ++i) {
        command.words.push_back(source.words()[i].text);
    }
    return command;
}

HeredocFile heredoc_file(const Heredoc& heredoc) {
    return {heredoc.name, heredoc_text(heredoc), heredoc.expand, heredoc.span};
}

bool is_late_problem(std::string_view code) {
    static constexpr std::array<std::string_view, 4> kLate = {"parse.variable-in-from", "parse.bad-mount",
                                                              "parse.bad-trigger", "parse.no-stages"};
    return std::find(kLate.begin(), kLate.end(), code) != kLate.end();
}

std::string find_description(const std::vector<std::string>& comment, std::string_view name) {
    for (const std::string& line : comment) {
        if (!name.empty() && line.starts_with(name) && std::string_view(line).substr(name.size()).starts_with(' ')) {
            return line.substr(name.size() + 1);
        }
    }
    return {};
}

Keyword require_keyword(const Node& node) {
    if (const std::optional<Keyword> keyword = find_keyword(node.keyword)) {
        return *keyword;
    }
    const std::string upper = util::to_upper(node.keyword);
    const std::optional<std::string_view> near = util::nearest(upper, keyword_names());
    reject("parse.unknown-instruction", fmt::format("unknown instruction: {}", shown(node.keyword)),
           near ? fmt::format("did you mean {}?", *near) : std::string(), node.keyword_span);
}

Instruction parse_instruction(const Node& node, Keyword keyword, char escape, std::vector<Diagnostic>& problems) {
    const InstructionSource source{node, keyword, escape, parse_arguments(node, keyword, escape), problems};
    return {node.keyword,          node.keyword_span,     node.original(),   node.span,
            node.arguments_span(), node.previous_comment, parse_body(source)};
}

From parse_from(const Node& node, char escape) {
    std::vector<Diagnostic> none;
    const InstructionSource source{node, Keyword::from, escape, parse_arguments(node, Keyword::from, escape), none};
    const FlagSet flags(node, {{"platform", FlagSet::Kind::text}});
    const std::vector<Word>& words = source.words();
    const bool named = words.size() == 3 && util::equals_ignoring_case(words[1].text, "as");
    if (words.size() != 1 && !named) {
        reject_arguments(source, "FROM requires either one or three arguments",
                         "write FROM image or FROM image AS name");
    }
    From from;
    from.image = words.front();
    from.platform = flags.text("platform");
    if (named) {
        check_stage_name(words[2]);
        from.as = words[1];
        from.name = words[2];
    }
    return from;
}

}  // namespace imgbuild::parser
