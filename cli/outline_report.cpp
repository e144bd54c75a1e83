#include "cli/outline_report.hpp"

#include "cli/debug_shapes.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace imgbuild::cli {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;

/// Columns as wide as their widest cell, two blanks between them, no blanks at the end.
std::string table(const std::vector<Row>& rows) {
    std::vector<std::size_t> widths;
    for (const Row& row : rows) {
        widths.resize(std::max(widths.size(), row.size()), 0);
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string out;
    for (const Row& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:{}}  ", row[i], widths[i]);
        out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return out;
}

std::string shown(std::string_view text) {
    const std::string quoted = util::quote(text);
    return quoted.substr(1, quoted.size() - 2);
}

void add_mounts(std::string& out, std::string_view title, const std::vector<builder::MountFact>& mounts) {
    if (mounts.empty()) return;
    std::vector<Row> rows = {{std::string(title), "REQUIRED", "LINE"}};
    for (const builder::MountFact& mount : mounts) {
        rows.push_back({shown(mount.id), mount.required ? "yes" : "no", fmt::format("{}", mount.line)});
    }
    out += (out.empty() ? "" : "\n") + table(rows);
}

json dumped(json value, const char* member) {
    return {{"v", 1}, {member, std::move(value)}};
}

std::string dump(const json& value) {
    return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string render_outline_text(const CheckedFile& checked) {
    const parser::Stage& stage = checked.file.stages.at(checked.survey.target);
    const builder::TargetFacts& facts = checked.survey.facts;
    std::string out = fmt::format("TARGET: {}\n", stage.name.empty() ? "(unnamed)" : stage.name);
    if (!stage.description.empty()) out += fmt::format("DESCRIPTION: {}\n", shown(stage.description));
    if (!facts.arguments.empty()) {
        std::vector<Row> rows = {{"BUILD ARG", "VALUE", "LINE", "DESCRIPTION"}};
        for (const builder::ArgumentFact& fact : facts.arguments) {
            rows.push_back(
                {shown(fact.name), shown(fact.value), fmt::format("{}", fact.line), shown(fact.description)});
        }
        out += "\n" + table(rows);
    }
    add_mounts(out, "SECRET", facts.secrets);
    add_mounts(out, "SSH", facts.agents);
    return out;
}

std::string render_outline_json(const CheckedFile& checked) {
    return dump(dumped(outline_shape(checked.file, checked.survey), "outline"));
}

std::string render_targets_text(const parser::BuildFile& file) {
    std::vector<Row> rows = {{"TARGET", "BASE", "LINE", "DESCRIPTION"}};
    for (std::size_t i = 0; i < file.stages.size(); ++i) {
        const parser::Stage& stage = file.stages[i];
        const bool is_default = i + 1 == file.stages.size();
        const std::string name = stage.name.empty() ? fmt::format("{}", i) : stage.name;
        rows.push_back({name + (is_default ? " (default)" : ""), shown(stage.from.image.text),
                        fmt::format("{}", stage.span.line), shown(stage.description)});
    }
    return table(rows);
}

std::string render_targets_json(const parser::BuildFile& file) {
    return dump(dumped(targets_shape(file), "targets"));
}

}  // namespace imgbuild::cli
