#include "builder/frontend/stage_names.hpp"

#include <imgbuild/reference.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::builder {
namespace {

std::optional<std::string> normal_form(std::string_view name) {
    try {
        return Reference::parse(name).text();
    } catch (const Error&) {
        return std::nullopt;  // a stage's name, say: not every name is a reference
    }
}

}  // namespace

std::string stage_label(const parser::BuildFile& file, std::size_t stage) {
    const std::string& name = file.stages.at(stage).name;
    return name.empty() ? fmt::format("stage-{}", stage) : name;
}

std::size_t StageNames::target() const {
    if (options_.target.empty()) return file_.stages.size() - 1;
    const std::size_t index = file_.find_stage(options_.target);
    if (index != parser::BuildFile::npos) return index;
    std::vector<std::string_view> names;
    std::string all;
    for (const parser::Stage& stage : file_.stages) {
        if (stage.name.empty()) continue;
        names.push_back(stage.name);
        all += (all.empty() ? "" : ", ") + stage.name;
    }
    const auto near = util::nearest(options_.target, names);
    throw UsageError({.code = "usage.unknown-target",
                      .message = fmt::format("there is no stage {} in {}", util::quote(options_.target),
                                             util::quote(file_.source->name)),
                      .hint = near          ? fmt::format("did you mean {}?", util::quote(*near))
                              : all.empty() ? "no stage has a name: give its number, from 0"
                                            : "the stages are: " + all,
                      .where = {}});
}

Platform StageNames::platform_of(std::size_t stage) const {
    const parser::From& from = file_.stages.at(stage).from;
    if (!from.platform) return options_.target_platform;
    const SourceSpan where{.file = file_.source, .span = from.platform->span};
    const parser::WordExpander expander(globals_.environment(), file_.escape);
    const std::string text = expander.expand(from.platform->text, where);
    try {
        return text.empty() ? options_.target_platform : Platform::parse(text);
    } catch (Error& error) {
        error.locate(where);
        throw;
    }
}

std::optional<Origin> StageNames::context(std::string_view name, const Platform& platform) const {
    const auto wanted = normal_form(name);
    const auto find = [&](const std::string& suffix) -> const std::pair<const std::string, NamedContext>* {
        if (const auto at = options_.contexts.find(std::string(name) + suffix); at != options_.contexts.end())
            return &*at;
        if (!wanted) return nullptr;
        for (const auto& entry : options_.contexts) {
            if (!entry.first.ends_with(suffix)) continue;
            const auto form = normal_form(entry.first.substr(0, entry.first.size() - suffix.size()));
            if (form == wanted) return &entry;
        }
        return nullptr;
    };
    const auto* found = find("::" + platform.text());
    if (found == nullptr) found = find("");
    if (found == nullptr) return std::nullopt;
    if (found->second.kind == NamedContext::Kind::directory) return ContextDirectory{found->first};
    return OutsideImage{.request = {.name = found->second.locator, .platform = platform}};
}

bool StageNames::is_replaced(std::size_t stage) const {
    const std::string& name = file_.stages.at(stage).name;
    return !name.empty() && context(name, platform_of(stage)).has_value();
}

Origin StageNames::base_of(std::size_t stage) const {
    const parser::Stage& self = file_.stages.at(stage);
    const Platform platform = platform_of(stage);
    if (!self.name.empty()) {
        if (auto replaced = context(self.name, platform)) return *replaced;
    }
    const SourceSpan where{.file = file_.source, .span = self.from.image.span};
    const parser::WordExpander expander(globals_.environment(), file_.escape);
    const std::string name = expander.expand(self.from.image.text, where);
    if (name.empty()) {
        throw ParseError(file_.source, {{.severity = Severity::error,
                                         .code = "parse.empty-base",
                                         .message = fmt::format("FROM {} names no image: the variable is empty",
                                                                util::quote(self.from.image.text)),
                                         .hint = "declare the ARG above the first FROM, with a default",
                                         .span = self.from.image.span}});
    }
    if (name == "scratch") return Scratch{};
    for (std::size_t i = stage; i-- > 0;) {
        if (util::equals_ignoring_case(file_.stages[i].name, name)) return StageIndex{i};
    }
    if (auto replaced = context(name, platform)) return *replaced;
    return OutsideImage{.request = {.name = name, .platform = platform}};
}

Origin StageNames::from(const parser::Word& word, std::size_t stage) const {
    const std::size_t index = file_.find_stage(word.text);
    if (index != parser::BuildFile::npos && index != stage) return StageIndex{index};
    if (util::parse_number(word.text)) {
        throw ParseError(file_.source, {{.severity = Severity::error,
                                         .code = "parse.unknown-stage",
                                         .message = fmt::format("there is no stage {} to copy from", word.text),
                                         .hint = fmt::format("stages count from 0; this is stage {}", stage),
                                         .span = word.span}});
    }
    if (auto replaced = context(word.text, options_.target_platform)) return *replaced;
    if (word.text == "scratch") return Scratch{};
    return OutsideImage{.request = {.name = word.text, .platform = options_.target_platform}};
}

}  // namespace imgbuild::builder
