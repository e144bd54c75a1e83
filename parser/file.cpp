#include "parser/file.hpp"

#include "parser/instruction_parser.hpp"
#include "parser/reject.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace imgbuild::parser {
namespace {

/// Sorts the nodes of a tree into stages.
class FileReader {
public:
    explicit FileReader(std::shared_ptr<const SourceFile> source) { file_.source = std::move(source); }

    BuildFile read() {
        Ast ast = parse_ast(*file_.source);
        file_.directives = std::move(ast.directives);
        file_.escape = ast.escape;
        file_.diagnostics = std::move(ast.diagnostics);
        for (const Node& node : ast.nodes) {
            try {
                add(node);
            } catch (const Error& error) {
                file_.diagnostics.push_back(to_diagnostic(error, node.span));
            }
        }
        if (file_.stages.empty() && !file_.has_errors()) {
            const Span end = ast.nodes.empty() ? Span{} : ast.nodes.back().span;
            file_.diagnostics.push_back({Severity::error, "parse.no-stages", "dockerfile contains no stages to build",
                                         "begin a stage with FROM", end});
        }
        std::stable_sort(file_.diagnostics.begin(), file_.diagnostics.end(),
                         [](const Diagnostic& a, const Diagnostic& b) { return a.span.line < b.span.line; });
        return std::move(file_);
    }

private:
    void add(const Node& node);
    void add_stage(const Node& node);

    BuildFile file_;
    /// A FROM was there, even if it was wrong: what follows is not blamed for its absence.
    bool seen_from_ = false;
};

void FileReader::add(const Node& node) {
    const Keyword keyword = require_keyword(node);
    if (keyword == Keyword::from) {
        add_stage(node);
        return;
    }
    Instruction instruction = parse_instruction(node, keyword, file_.escape, file_.diagnostics);
    if (!file_.stages.empty()) {
        file_.stages.back().instructions.push_back(std::move(instruction));
    } else if (keyword == Keyword::arg) {
        file_.global_args.push_back(std::move(instruction));
    } else if (!seen_from_) {
        reject("parse.no-stage", "no build stage in current context",
               fmt::format("{} must stand below a FROM; only ARG may stand above the first one", keyword_name(keyword)),
               node.keyword_span);
    }
}

void FileReader::add_stage(const Node& node) {
    seen_from_ = true;
    Stage stage;
    stage.from = parse_from(node, file_.escape);
    stage.name = stage.from.name ? util::to_lower(stage.from.name->text) : std::string();
    stage.keyword = node.keyword;
    stage.keyword_span = node.keyword_span;
    stage.original = node.original();
    stage.span = node.span;
    stage.previous_comment = node.previous_comment;
    stage.description = find_description(node.previous_comment, stage.name);
    file_.stages.push_back(std::move(stage));
}

}  // namespace

bool BuildFile::has_errors() const {
    return std::any_of(diagnostics.begin(), diagnostics.end(),
                       [](const Diagnostic& diagnostic) { return diagnostic.severity == Severity::error; });
}

const BuildFile& BuildFile::require_valid() const {
    if (has_errors()) {
        throw ParseError(source, diagnostics);
    }
    return *this;
}

std::size_t BuildFile::find_stage(std::string_view name) const {
    const std::string lower = util::to_lower(name);
    for (std::size_t i = stages.size(); i-- > 0;) {
        if (!lower.empty() && stages[i].name == lower) {
            return i;
        }
    }
    const std::optional<std::uint64_t> index = util::parse_number(name);
    return index && *index < stages.size() ? static_cast<std::size_t>(*index) : npos;
}

BuildFile parse_file(std::shared_ptr<const SourceFile> source) {
    return FileReader(std::move(source)).read();
}

Instruction parse_trigger(std::shared_ptr<const SourceFile> file) {
    const Ast ast = parse_ast(*file);
    std::vector<Diagnostic> problems = ast.diagnostics;
    const auto fails = [](const Diagnostic& d) { return d.severity == Severity::error; };
    if (ast.nodes.size() > 1) {
        problems.push_back({Severity::error, "parse.bad-trigger", "a trigger holds more than one instruction",
                            "the base image was made by a builder with other rules", ast.nodes[1].span});
    }
    try {
        if (ast.nodes.size() == 1 && std::none_of(problems.begin(), problems.end(), fails)) {
            const Node& node = ast.nodes.front();
            const Keyword keyword = require_keyword(node);
            if (keyword == Keyword::from || keyword == Keyword::onbuild || keyword == Keyword::maintainer) {
                reject("parse.bad-trigger",
                       fmt::format("{} isn't allowed as an ONBUILD trigger", keyword_name(keyword)), {}, node.span);
            }
            Instruction instruction = parse_instruction(node, keyword, ast.escape, problems);
            if (std::none_of(problems.begin(), problems.end(), fails)) {
                return instruction;
            }
        }
    } catch (const Error& error) {
        problems.push_back(to_diagnostic(error, ast.nodes.front().span));
    }
    throw ParseError(std::move(file), std::move(problems));
}

}  // namespace imgbuild::parser
