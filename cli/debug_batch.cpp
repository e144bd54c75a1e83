#include "cli/debug_batch.hpp"

#include <imgbuild/error.hpp>

#include "builder/lint/line_rules.hpp"
#include "cli/debug_shapes.hpp"
#include "cli/exit_code.hpp"
#include "parser/expand.hpp"
#include "parser/file.hpp"
#include "parser/ignore.hpp"
#include "parser/instruction_parser.hpp"
#include "parser/json_array.hpp"
#include "parser/values.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgbuild::cli {
namespace {

using nlohmann::json;

/// A longer line is no request.
constexpr std::size_t kMaxRequestBytes = std::size_t{64} << 20;

[[noreturn]] void reject_request(std::string message) {
    throw UsageError({.code = "usage.bad-request", .message = std::move(message)});
}

int base64_digit(char c) {
    static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) {
        reject_request("b64 is not base64");
    }
    return static_cast<int>(digit);
}

std::string decode_base64(std::string_view text) {
    std::string result;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text.substr(0, text.find('='))) {
        bits = (bits << 6U) | static_cast<std::uint32_t>(base64_digit(c));
        count += 6;
        if (count >= 8) {
            count -= 8;
            result.push_back(
                static_cast<char>(static_cast<unsigned char>((bits >> static_cast<unsigned>(count)) & 0xFFU)));
        }
    }
    return result;
}

/// The bytes that a request is about; "b64" where they are no UTF-8.
std::string text_of(const json& request) {
    const auto encoded = request.find("b64");
    return encoded != request.end() ? decode_base64(encoded->get<std::string>())
                                    : request.at("text").get<std::string>();
}

std::string message_of(const Diagnostic& diagnostic) {
    return diagnostic.hint.starts_with("did you mean") ? fmt::format("{} ({})", diagnostic.message, diagnostic.hint)
                                                       : diagnostic.message;
}

/// The lines that the data blames for an error: all of the instruction. For lines that are no instruction they are
/// counted from 0 there.
json blamed_lines(const Diagnostic& error, const parser::Ast& ast) {
    for (const parser::Node& node : ast.nodes) {
        if (node.span.line <= error.span.line && error.span.line <= node.span.end_line) {
            return lines_shape(node.span);
        }
    }
    const bool counted_before = error.code == "parse.bad-directive" || error.code == "parse.duplicate-directive" ||
                                error.code == "parse.line-too-long";
    const std::uint32_t line = error.span.line - (counted_before ? 1 : 0);
    return json::array({json::array({line, line})});
}

json failure(const Diagnostic& error, const parser::Ast& ast) {
    return {{"error", message_of(error)}, {"error_lines", blamed_lines(error, ast)}};
}

const Diagnostic* first_error(const std::vector<Diagnostic>& diagnostics) {
    const auto found = std::find_if(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& d) {
        return d.severity == Severity::error && !parser::is_late_problem(d.code);
    });
    return found == diagnostics.end() ? nullptr : &*found;
}

json answer_ast(const json& request) {
    const parser::Ast ast = parser::parse_ast({"-", text_of(request)});
    if (const Diagnostic* error = first_error(ast.diagnostics)) {
        return failure(*error, ast);
    }
    try {
        return ast_shape(ast);
    } catch (const Error& error) {
        Diagnostic diagnostic{Severity::error, error.code(), error.message(), error.hint(), {}};
        diagnostic.span = error.where() ? error.where()->span : Span{};
        return failure(diagnostic, ast);
    }
}

json answer_instr(const json& request) {
    const auto source = std::make_shared<const SourceFile>(SourceFile{"-", text_of(request)});
    const parser::BuildFile file = parser::parse_file(source);
    if (const Diagnostic* error = first_error(file.diagnostics)) {
        return failure(*error, parser::parse_ast(*source));
    }
    json result = file_shape(file);
    builder::Findings findings(builder::Findings::OwnRules::no);
    builder::check_lines(file, {}, 0, findings);
    result["lint"] = findings_shape(findings.take());
    return result;
}

json answer_json(const json& request) {
    const parser::JsonArray array = parser::parse_json_array(text_of(request));
    if (array.kind != parser::JsonArray::Kind::strings) {
        return {{"error", "not a JSON array of strings"}};
    }
    json items = json::array();
    for (const parser::JsonArray::Item& item : array.items) {
        items.push_back(item.text);
    }
    return {{"expect", std::move(items)}};
}

json answer_directive(const json& request) {
    const std::optional<parser::Directive> found =
        parser::find_directive_in_any(text_of(request), request.at("name").get<std::string>());
    if (!found) {
        return {{"found", false}};
    }
    return {{"found", true},
            {"value", found->value.substr(0, found->value.find_first_of(" \t"))},
            {"cmdline", found->value},
            {"lines", lines_shape(found->span)}};
}

json answer_heredoc(const json& request) {
    const std::optional<parser::Heredoc> heredoc = parser::parse_heredoc_word(text_of(request));
    if (!heredoc) {
        return {{"heredoc", nullptr}};
    }
    return {
        {"heredoc",
         {{"name", heredoc->name}, {"fd", heredoc->fd}, {"expand", heredoc->expand}, {"chomp", heredoc->strip_tabs}}}};
}

parser::WordExpander expander_of(const json& request) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const auto& [name, value] : request.at("envs").items()) {
        pairs.emplace_back(name, value.get<std::string>());
    }
    const std::string escape = request.value("escape", std::string("\\"));
    const std::vector<std::string> modes = request.value("mode", std::vector<std::string>{});
    const auto has = [&modes](std::string_view name) {
        return std::find(modes.begin(), modes.end(), name) != modes.end();
    };
    parser::ExpandMode mode;
    mode.raw_quotes = has("rawquotes");
    mode.raw_escapes = has("rawescapes");
    mode.skip_unset = has("skipunset");
    mode.ignore_quotes = has("skipprocessquotes");
    return parser::WordExpander(parser::environment_of(std::move(pairs)), escape.empty() ? '\\' : escape.front(), mode);
}

json answer_word(const json& request) {
    const parser::Expansion expansion = expander_of(request).expand_with_uses(text_of(request));
    return {{"result", expansion.text}, {"matched", expansion.matched}, {"unmatched", expansion.unmatched}};
}

json answer_words(const json& request) {
    return {{"result", expander_of(request).expand_words(text_of(request))}};
}

json answer_port(const json& request) {
    return {{"result", parser::parse_ports(text_of(request))}};
}

json answer_match(const json& request) {
    const parser::IgnoreMatcher matcher(request.at("patterns").get<std::vector<std::string>>());
    json excluded = json::array();
    for (const json& path : request.at("paths")) {
        excluded.push_back(matcher.excluded(path.get<std::string>()));
    }
    return {{"excluded", std::move(excluded)}};
}

json answer_ignorefile(const json& request) {
    return {{"patterns", parser::read_ignore_file(text_of(request))}};
}

json answer_ref(const json& request) {
    return reference_shape(text_of(request));
}

json answer_platform(const json& request) {
    return platform_shape(text_of(request), Platform::host());
}

json answer_gitref(const json& request) {
    return {{"result", git_reference_shape(text_of(request))}};
}

/// Every base image of the data is the same one.
std::optional<oci::ImageConfig> fixture_image(const std::string&, const Platform& platform) {
    oci::ImageConfig config;
    config.platform = platform;
    config.config.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
    return config;
}

/// Options of the survey from the request's "attrs": "target", "platform", "build-arg:NAME".
builder::LowerOptions build_options_of(const json& request) {
    builder::LowerOptions options;
    options.build_platform = Platform::host();
    options.target_platform = options.build_platform;
    const json attributes = request.value("attrs", json::object());
    for (const auto& [name, value] : attributes.items()) {
        static constexpr std::string_view kArgument = "build-arg:";
        if (name.starts_with(kArgument)) {
            options.build_args.emplace_back(name.substr(kArgument.size()), value.get<std::string>());
        } else if (name == "target") {
            options.target = value.get<std::string>();
        } else if (name == "platform") {
            options.target_platform = Platform::parse(value.get<std::string>());
        }
    }
    return options;
}

/// A file with its survey, as the data looks at files: with the checks that it knows.
struct Looked {
    parser::BuildFile file;
    builder::Survey survey;

    std::optional<Diagnostic> error() const {
        const Diagnostic* of_file = first_error(file.diagnostics);
        return of_file != nullptr ? std::optional(*of_file) : survey.error;
    }
};

Looked look_at(const json& request) {
    const parser::IgnoreMatcher ignore(parser::read_ignore_file(request.value("dockerignore", std::string())));
    builder::SurveyOptions options;
    options.build = build_options_of(request);
    options.ignore = &ignore;
    options.image = fixture_image;
    options.own_rules = builder::Findings::OwnRules::no;
    Looked looked{parser::parse_file(std::make_shared<const SourceFile>(SourceFile{"-", text_of(request)})), {}};
    looked.survey = builder::survey(looked.file, options);
    return looked;
}

json answer_lint(const json& request) {
    const Looked looked = look_at(request);
    json result{{"warnings", findings_shape(looked.survey.findings)}};
    try {
        looked.survey.require_clean(looked.file);
    } catch (const Error& error) {
        result["error"] = error.message();
    }
    if (const std::optional<Diagnostic> error = looked.error()) {
        result["error"] = message_of(*error);
    }
    return result;
}

json answer_outline(const json& request) {
    const Looked looked = look_at(request);
    if (const std::optional<Diagnostic> error = looked.error()) {
        return {{"error", message_of(*error)}};
    }
    return {{"outline", outline_shape(looked.file, looked.survey)}};
}

json answer_targets(const json& request) {
    const parser::BuildFile file =
        parser::parse_file(std::make_shared<const SourceFile>(SourceFile{"-", text_of(request)}));
    if (const Diagnostic* error = first_error(file.diagnostics)) {
        return {{"error", message_of(*error)}};
    }
    return {{"targets", targets_shape(file)}};
}

struct Operation {
    std::string_view name;
    json (*answer)(const json& request);
};

constexpr std::array<Operation, 16> kOperations = {{{"ast", answer_ast},
                                                    {"directive", answer_directive},
                                                    {"gitref", answer_gitref},
                                                    {"heredoc", answer_heredoc},
                                                    {"ignorefile", answer_ignorefile},
                                                    {"instr", answer_instr},
                                                    {"json", answer_json},
                                                    {"lint", answer_lint},
                                                    {"match", answer_match},
                                                    {"outline", answer_outline},
                                                    {"platform", answer_platform},
                                                    {"port", answer_port},
                                                    {"ref", answer_ref},
                                                    {"targets", answer_targets},
                                                    {"word", answer_word},
                                                    {"words", answer_words}}};

json answer(const json& request) {
    const std::string name = request.at("op").get<std::string>();
    const auto operation =
        std::find_if(kOperations.begin(), kOperations.end(), [&name](const Operation& o) { return o.name == name; });
    if (operation == kOperations.end()) {
        reject_request(fmt::format("unknown operation {}", util::quote(name)));
    }
    return operation->answer(request);
}

json answer_line(std::string_view line) {
    json id;
    json result;
    try {
        if (line.size() > kMaxRequestBytes) {
            reject_request("the request is too long");
        }
        const json request = json::parse(line);
        id = request.value("id", json());
        result = answer(request);
    } catch (const Error& error) {
        result = {{"error", error.message()}};
    } catch (const json::exception& error) {
        result = {{"error", fmt::format("bad request: {}", error.what())}};
    }
    result["id"] = std::move(id);
    return result;
}

}  // namespace

std::vector<std::string> debug_operations() {
    std::vector<std::string> names;
    for (const Operation& operation : kOperations) {
        names.emplace_back(operation.name);
    }
    return names;
}

int run_debug_question(const DebugQuestion& question, std::ostream& out) {
    json request{{"op", question.operation}, {"text", question.text},
                 {"name", question.name},    {"escape", question.escape},
                 {"mode", question.modes},   {"paths", question.paths},
                 {"envs", json::object()},   {"dockerignore", question.ignore_file},
                 {"attrs", json::object()}};
    for (const auto& [name, value] : question.environment) {
        request["envs"][name] = value;
    }
    for (const auto& [name, value] : question.attributes) {
        request["attrs"][name] = value;
    }
    request["patterns"] = parser::read_ignore_file(question.text);
    json result;
    try {
        result = answer(request);
    } catch (const Error& error) {
        result = {{"error", error.message()}};
    }
    out << result.dump(2, ' ', false, json::error_handler_t::replace) << '\n';
    return result.contains("error") ? kUsage : kOk;
}

int run_debug_batch(std::istream& in, std::ostream& out) {
    std::string line;
    while (std::getline(in, line)) {
        // The parser passes on bytes that are no UTF-8 as they are; JSON cannot.
        out << answer_line(line).dump(-1, ' ', false, json::error_handler_t::replace) << '\n' << std::flush;
    }
    return 0;
}

}  // namespace imgbuild::cli
