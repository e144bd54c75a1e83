#include "cli/debug_shapes.hpp"

#include "parser/arguments.hpp"
#include "parser/characters.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::cli {
namespace {

using nlohmann::json;
using parser::Character;
using parser::Keyword;
using parser::Node;

bool is_printable(char32_t code) {
    const bool format = code == 0xAD || code == 0xFEFF || (code >= 0x200B && code <= 0x200F) ||
                        (code >= 0x2028 && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F);
    const bool private_use = (code >= 0xE000 && code <= 0xF8FF) || code >= 0xF0000;
    return code >= 0x20 && !(code >= 0x7F && code < 0xA0) && !format && !private_use &&
           (code == 0x20 || !parser::is_space(code));
}

std::string escape_code(char32_t code) {
    static constexpr std::string_view kLetters = "abtnvfr";
    const auto number = static_cast<std::uint32_t>(code);
    if (code >= 7 && code <= 13) {
        return fmt::format("\\{}", kLetters[code - 7]);
    }
    if (code < 0x80) {
        return fmt::format("\\x{:02x}", number);
    }
    return code < 0x10000 ? fmt::format("\\u{:04x}", number) : fmt::format("\\U{:08x}", number);
}

/// A literal of the Go language, as the dumps have them.
std::string go_quoted(std::string_view text) {
    std::string result = "\"";
    for (std::size_t i = 0; i < text.size();) {
        const Character c = parser::character_at(text, i);
        if (c.code == parser::kNoCharacter && c.length == 1) {
            result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
        } else if (c.code == U'"' || c.code == U'\\') {
            result += fmt::format("\\{}", text[i]);
        } else {
            result += is_printable(c.code) ? std::string(text.substr(i, c.length)) : escape_code(c.code);
        }
        i += c.length;
    }
    return result + "\"";
}

/// A node with its arguments as the data lists them.
struct Listed {
    std::vector<std::string> words;
    bool json = false;
    std::vector<Node> triggers;
};

Listed list_arguments(const Node& node, char escape) {
    Listed result;
    const std::optional<Keyword> keyword = parser::find_keyword(node.keyword);
    if (!keyword) {
        result.words.emplace_back();
        return result;
    }
    if (*keyword == Keyword::onbuild) {
        if (std::optional<Node> trigger = parser::trigger_of(node, escape)) {
            result.triggers.push_back(std::move(*trigger));
        }
        return result;
    }
    const parser::Arguments arguments = parser::parse_arguments(node, *keyword, escape);
    result.json = arguments.json;
    for (const parser::Word& word : arguments.words) {
        result.words.push_back(word.text);
    }
    for (const parser::KeyValue& pair : arguments.pairs) {
        result.words.insert(result.words.end(), {pair.key.text, pair.value.text, pair.legacy ? "" : "="});
    }
    return result;
}

/// Triggers of triggers are no build file, but the tree has them; so deep that the functions below can recurse.
void check_nesting(Node node, char escape) {
    static constexpr int kMaxNesting = 100;
    for (int depth = 0; parser::find_keyword(node.keyword) == Keyword::onbuild; ++depth) {
        if (depth == kMaxNesting) {
            throw Error({.code = "parse.bad-trigger", .message = "ONBUILD is nested too deep"});
        }
        std::optional<Node> trigger = parser::trigger_of(node, escape);
        if (!trigger) {
            return;
        }
        node = std::move(*trigger);
    }
}

std::string dump(const Node& node, char escape) {
    const Listed listed = list_arguments(node, escape);
    std::string result = util::to_lower(node.keyword);
    if (!node.flags.empty()) {
        std::vector<std::string> flags;
        for (const parser::Flag& flag : node.flags) {
            flags.push_back(go_quoted(flag.text));
        }
        result += fmt::format(" [{}]", fmt::join(flags, " "));
    }
    for (const std::string& word : listed.words) {
        result += " " + go_quoted(word);
    }
    for (const Node& trigger : listed.triggers) {
        result += fmt::format(" ({})", dump(trigger, escape));
    }
    return result;
}

json inner_shape(const Node& node, char escape) {
    const Listed listed = list_arguments(node, escape);
    json result{{"value", node.keyword}, {"original", node.original()}, {"args", listed.words}};
    if (listed.json) {
        result["attributes"] = {{"json", true}};
    }
    for (const parser::Flag& flag : node.flags) {
        result["flags"].push_back(flag.text);
    }
    for (const Node& trigger : listed.triggers) {
        result["args"].push_back({{"children", json::array({inner_shape(trigger, escape)})}});
    }
    return result;
}

json node_shape(const Node& node, char escape) {
    json result = inner_shape(node, escape);
    result["start"] = node.span.line;
    result["end"] = node.span.end_line;
    result["prev_comment"] = node.previous_comment;
    for (const parser::Heredoc& heredoc : node.heredocs) {
        result["heredocs"].push_back({{"name", heredoc.name},
                                      {"fd", heredoc.fd},
                                      {"expand", heredoc.expand},
                                      {"chomp", heredoc.strip_tabs},
                                      {"content", heredoc.content}});
    }
    return result;
}

}  // namespace

json lines_shape(Span span) {
    json result = json::array();
    for (std::uint32_t line = span.line; line <= span.end_line; ++line) {
        result.push_back({line, line});
    }
    return result;
}

json ast_shape(const parser::Ast& ast) {
    std::vector<std::string> lines;
    json tree = json::array();
    json warnings = json::array();
    for (const Node& node : ast.nodes) {
        check_nesting(node, ast.escape);
        lines.push_back(fmt::format("({})", dump(node, ast.escape)));
        tree.push_back(node_shape(node, ast.escape));
    }
    for (const Diagnostic& warning : ast.diagnostics) {
        if (warning.severity == Severity::warning) {
            warnings.push_back({{"short", warning.message}, {"lines", {warning.span.line, warning.span.end_line}}});
        }
    }
    return {{"dump", fmt::format("{}", fmt::join(lines, "\n"))},
            {"escape", std::string(1, ast.escape)},
            {"tree", std::move(tree)},
            {"warnings", std::move(warnings)}};
}

}  // namespace imgbuild::cli
