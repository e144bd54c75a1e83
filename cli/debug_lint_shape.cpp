#include "cli/debug_shapes.hpp"

#include <nlohmann/json.hpp>

namespace imgbuild::cli {
namespace {

using nlohmann::json;

json mounts_shape(const std::vector<builder::MountFact>& mounts) {
    json result = json::array();
    for (const builder::MountFact& mount : mounts) {
        json one{{"name", mount.id}, {"line", mount.line}};
        if (mount.required) {
            one["required"] = true;
        }
        result.push_back(std::move(one));
    }
    return result;
}

}  // namespace

json findings_shape(const std::vector<builder::Finding>& findings) {
    json result = json::array();
    for (const builder::Finding& finding : findings) {
        result.push_back({{"rule", rule_of(finding.rule).name},
                          {"line", finding.instruction.line},
                          {"lines", lines_shape(finding.instruction)},
                          {"detail", finding.detail}});
    }
    return result;
}

json outline_shape(const parser::BuildFile& file, const builder::Survey& survey) {
    const parser::Stage& stage = file.stages.at(survey.target);
    json result = json::object();
    if (!stage.name.empty()) {
        result["name"] = stage.name;
    }
    if (!stage.description.empty()) {
        result["description"] = stage.description;
    }
    for (const builder::ArgumentFact& fact : survey.facts.arguments) {
        json one{{"name", fact.name}, {"line", fact.line}};
        if (!fact.value.empty()) {
            one["value"] = fact.value;
        }
        if (!fact.description.empty()) {
            one["description"] = fact.description;
        }
        result["args"].push_back(std::move(one));
    }
    if (!survey.facts.secrets.empty()) {
        result["secrets"] = mounts_shape(survey.facts.secrets);
    }
    if (!survey.facts.agents.empty()) {
        result["ssh"] = mounts_shape(survey.facts.agents);
    }
    return result;
}

json targets_shape(const parser::BuildFile& file) {
    json result = json::array();
    for (std::size_t i = 0; i < file.stages.size(); ++i) {
        const parser::Stage& stage = file.stages[i];
        json one{{"default", i + 1 == file.stages.size()}, {"base", stage.from.image.text}, {"line", stage.span.line}};
        if (!stage.name.empty()) {
            one["name"] = stage.name;
        }
        if (!stage.description.empty()) {
            one["description"] = stage.description;
        }
        if (stage.from.platform) {
            one["platform"] = stage.from.platform->text;
        }
        result.push_back(std::move(one));
    }
    return result;
}

}  // namespace imgbuild::cli
