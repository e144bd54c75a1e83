#include "builder/lint/survey.hpp"

#include <imgbuild/reference.hpp>

#include "builder/frontend/stage_state.hpp"
#include "builder/lint/from_rules.hpp"
#include "builder/lint/line_rules.hpp"
#include "builder/lint/stage_walk.hpp"
#include "parser/instruction_parser.hpp"
#include "parser/reject.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace imgbuild::builder {
namespace {

using parser::BuildFile;

/// Errors that keep a file from being cut into instructions: then no line is what it seems.
bool is_unreadable(std::string_view code) {
    static constexpr std::array<std::string_view, 11> kCodes = {
        "parse.bad-directive",       "parse.bad-heredoc",
        "parse.bad-json-list",       "parse.bad-pair",
        "parse.duplicate-directive", "parse.file-too-large",
        "parse.line-too-long",       "parse.no-instructions",
        "parse.too-many-heredocs",   "parse.too-many-instructions",
        "parse.unterminated-heredoc"};
    return std::find(kCodes.begin(), kCodes.end(), code) != kCodes.end();
}

const Diagnostic* find_error(const BuildFile& file, bool (*wanted)(std::string_view code)) {
    const auto found = std::find_if(file.diagnostics.begin(), file.diagnostics.end(), [wanted](const Diagnostic& d) {
        return d.severity == Severity::error && wanted(d.code);
    });
    return found == file.diagnostics.end() ? nullptr : &*found;
}

class Surveyor {
public:
    Surveyor(const BuildFile& file, const SurveyOptions& options)
        : file_(file), options_(options), findings_(options.own_rules) {}

    Survey run() {
        try {
            read_check_options();
            look();
        } catch (const UsageError& error) {
            if (error.code() == "usage.unknown-target") {
                throw;
            }
            result_.error = parser::to_diagnostic(error, {});
        } catch (const Error& error) {
            if (!error.code().starts_with("parse.")) {
                throw;
            }
            result_.error = parser::to_diagnostic(error, {});
        }
        result_.findings = findings_.take();
        return std::move(result_);
    }

private:
    void read_check_options();
    void look();
    void check_defaults();
    void walk_stages(const GlobalArguments& globals, const StageNames& names);
    std::set<std::size_t> needs_of(const StageNames& names, std::size_t index) const;
    /// The stage and all that it needs, each once, the stage first.
    std::vector<std::size_t> needed_for(std::size_t index) const;
    void begin_stage(const SurveyContext& context, std::size_t index, WalkedStage& stage);
    void begin_from_image(std::size_t index, const ImageRequest& request, WalkedStage& stage);
    void note_global_facts(const GlobalArguments& globals);
    void collect_facts();
    void take_facts(StageFacts& facts, std::set<std::string>& seen);

    const BuildFile& file_;
    const SurveyOptions& options_;
    Findings findings_;
    CheckOptions checks_;
    Survey result_;
    /// By stage: what it is FROM, if that is a stage; what it copies from and mounts; what it is at its end.
    std::vector<std::optional<std::size_t>> bases_;
    std::vector<std::set<std::size_t>> needs_;
    std::vector<bool> reachable_;
    std::vector<WalkedStage> walked_;
    /// Of the ARGs above the first FROM: each with the names that its default uses.
    std::map<std::string, ArgumentFact> global_facts_;
    std::map<std::string, std::set<std::string, std::less<>>> uses_;
};

void Surveyor::read_check_options() {
    std::optional<std::string> text;
    Span span;
    for (const auto& [name, value] : options_.build.build_args) {
        if (name == "BUILDKIT_DOCKERFILE_CHECK") {
            text = value;
        }
    }
    if (!text) {
        for (const parser::Directive& directive : file_.directives) {
            if (directive.name == "check") {
                text = directive.value;
                span = directive.span;
            }
        }
    }
    if (!text) {
        return;
    }
    try {
        checks_ = CheckOptions::parse(*text);
    } catch (Error& error) {
        error.locate({file_.source, span});
        throw;
    }
    result_.findings_are_errors = checks_.error;
    for (const std::string& name : checks_.unknown_names()) {
        findings_.add(checks_, {RuleId::unknown_check,
                                fmt::format("there is no check {}", util::quote(name)),
                                span,
                                span,
                                "imgbuild lint --list-rules names all checks",
                                {}});
    }
}

void Surveyor::look() {
    if (find_error(file_, is_unreadable) != nullptr) {
        return;
    }
    const Diagnostic* error = find_error(file_, [](std::string_view code) { return !parser::is_late_problem(code); });
    check_lines(file_, checks_, error != nullptr ? error->span.line : 0, findings_);
    if (error != nullptr || file_.stages.empty()) {
        return;
    }
    check_file(file_, checks_, findings_);
    check_defaults();
    const GlobalArguments globals(file_, options_.build);
    const StageNames names(file_, options_.build, globals);
    result_.target = names.target();
    note_global_facts(globals);
    walk_stages(globals, names);
    collect_facts();
}

void Surveyor::check_defaults() {
    LowerOptions without_arguments = options_.build;
    without_arguments.build_args.clear();
    try {
        check_default_names(file_, GlobalArguments(file_, without_arguments), checks_, findings_);
    } catch (const Error&) {
        // A default that cannot be expanded: who expands it with the arguments that were given, tells of it.
    }
}

void Surveyor::note_global_facts(const GlobalArguments& globals) {
    const parser::WordExpander expander(globals.environment(), file_.escape);
    for (const parser::Instruction& instruction : file_.global_args) {
        const auto* arg = std::get_if<parser::Arg>(&instruction.body);
        if (arg == nullptr) {
            continue;
        }
        for (const parser::Arg::Item& item : arg->items) {
            const std::string& name = item.name.text;
            global_facts_[name] = {name, item.description, globals.inherited(name).value_or(std::string()),
                                   instruction.span.line};
            if (item.value) {
                uses_[name] = expander.expand_with_uses(item.value->text, {file_.source, item.value->span}).matched;
                uses_[name].erase(name);
            }
        }
    }
}

std::set<std::size_t> Surveyor::needs_of(const StageNames& names, std::size_t index) const {
    std::set<std::size_t> result;
    const auto add = [&](const parser::Word& name) {
        const Origin origin = names.from(name, index);
        if (const auto* stage = std::get_if<StageIndex>(&origin)) {
            result.insert(stage->index);
        } else if (const auto* image = std::get_if<OutsideImage>(&origin); image && image->request.name == name.text) {
            static_cast<void>(Reference::parse(name.text));
        }
    };
    for (const parser::Instruction& instruction : file_.stages[index].instructions) {
        try {
            if (const auto* copy = std::get_if<parser::Copy>(&instruction.body); copy != nullptr && copy->from) {
                add(*copy->from);
            }
            if (const auto* run = std::get_if<parser::Run>(&instruction.body)) {
                for (const parser::MountFlag& mount : run->mounts) {
                    for (const parser::MountOption& option : mount.options) {
                        if (option.key == "from" && option.value && !option.value->empty()) {
                            add({*option.value, mount.span});
                        }
                    }
                }
            }
        } catch (Error& error) {
            error.locate({file_.source, instruction.span});
            throw;
        }
    }
    return result;
}

std::vector<std::size_t> Surveyor::needed_for(std::size_t index) const {
    std::vector<std::size_t> order;
    std::vector<bool> seen(file_.stages.size(), false);
    std::vector<std::size_t> next = {index};
    while (!next.empty()) {
        const std::size_t stage = next.back();
        next.pop_back();
        if (seen[stage]) {
            continue;
        }
        seen[stage] = true;
        order.push_back(stage);
        next.insert(next.end(), needs_[stage].begin(), needs_[stage].end());
        if (bases_[stage]) {
            next.push_back(*bases_[stage]);
        }
    }
    return order;
}

void Surveyor::walk_stages(const GlobalArguments& globals, const StageNames& names) {
    const std::set<std::string> known = global_names(file_);
    const SurveyContext context{file_, options_, globals, names, checks_, known, findings_};
    const std::size_t count = file_.stages.size();
    bases_.resize(count);
    needs_.resize(count);
    walked_.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        walked_[i].facts.used = check_from(context, i);
        const Origin base = names.base_of(i);
        if (const auto* stage = std::get_if<StageIndex>(&base)) {
            bases_[i] = stage->index;
        }
    }
    for (std::size_t i = 0; i < count; ++i) {
        needs_[i] = needs_of(names, i);
    }
    reachable_.assign(count, false);
    for (const std::size_t stage : needed_for(result_.target)) {
        reachable_[stage] = true;
    }
    const bool all = options_.build.target.empty() && options_.stages == SurveyOptions::Stages::all;
    const auto wanted = [this, all](std::size_t i) { return all || reachable_[i]; };
    for (std::size_t i = 0; i < count; ++i) {
        if (wanted(i) && !bases_[i]) {
            begin_stage(context, i, walked_[i]);
        }
    }
    std::vector<std::size_t> followers(count, 0);
    for (std::size_t i = 0; i < count; ++i) {
        followers[bases_[i].value_or(i)] += wanted(i) && bases_[i] ? 1 : 0;
    }
    for (std::size_t i = 0; i < count; ++i) {
        if (!wanted(i)) {
            continue;
        }
        if (bases_[i]) {
            // What nobody else begins with is handed on, so that a chain of stages takes no more room than one.
            StageFacts facts = std::move(walked_[i].facts);
            WalkedStage& base = walked_[*bases_[i]];
            StageFacts facts_of_base = std::exchange(base.facts, {});
            walked_[i] = --followers[*bases_[i]] == 0 ? std::exchange(base, {}) : base;
            base.facts = std::move(facts_of_base);
            walked_[i].facts = std::move(facts);
        }
        std::vector<std::string> triggers = std::exchange(walked_[i].triggers, {});
        if (!names.is_replaced(i)) {
            walk_stage(context, i, reachable_[i] ? triggers : std::vector<std::string>{}, walked_[i]);
        }
    }
}

void Surveyor::begin_stage(const SurveyContext& context, std::size_t index, WalkedStage& stage) {
    const Origin base = context.names.base_of(index);
    if (const auto* image = std::get_if<OutsideImage>(&base)) {
        begin_from_image(index, image->request, stage);
    }
    stage.variables.emplace("PATH", kDefaultPath);
}

void Surveyor::begin_from_image(std::size_t index, const ImageRequest& request, WalkedStage& stage) {
    const parser::Stage& written = file_.stages[index];
    if (!request.name.starts_with("oci-layout://") && !request.name.starts_with("docker-image://")) {
        try {
            static_cast<void>(Reference::parse(request.name));
        } catch (Error& error) {
            error.locate({file_.source, written.from.image.span});
            throw;
        }
    }
    std::optional<oci::ImageConfig> config =
        options_.image ? options_.image(request.name, request.platform) : std::nullopt;
    if (!config) {
        stage.base_known = false;
        if (std::find(result_.unknown_images.begin(), result_.unknown_images.end(), request.name) ==
            result_.unknown_images.end()) {
            result_.unknown_images.push_back(request.name);
        }
        return;
    }
    const Platform& actual = config->platform;
    if (reachable_[index] &&
        (actual.os != request.platform.os || actual.architecture != request.platform.architecture)) {
        findings_.add(checks_.with_comment(written.previous_comment),
                      {RuleId::invalid_base_image_platform,
                       fmt::format("Base image {} was pulled with platform \"{}\", expected \"{}\" for current build",
                                   request.name, actual.text(), request.platform.text()),
                       written.from.image.span,
                       written.span,
                       "ask for another image, or build for its platform",
                       {}});
    }
    for (const std::string& variable : config->config.env) {
        const std::size_t equals = std::min(variable.find('='), variable.size());
        stage.variables[variable.substr(0, equals)] = variable.substr(std::min(equals + 1, variable.size()));
    }
    stage.has_entrypoint = config->config.entrypoint.has_value();
    stage.shell = std::move(config->config.shell);
    stage.triggers = std::move(config->config.on_build);
    stage.workdir = config->config.working_dir.empty() ? "/" : std::move(config->config.working_dir);
}

void Surveyor::take_facts(StageFacts& facts, std::set<std::string>& seen) {
    // What a global default uses is used as well, and so on.
    std::vector<std::string> next(facts.used.begin(), facts.used.end());
    while (!next.empty()) {
        const std::string name = std::move(next.back());
        next.pop_back();
        if (const auto uses = uses_.find(name); uses != uses_.end() && !facts.arguments.contains(name)) {
            for (const std::string& other : uses->second) {
                if (facts.used.insert(other).second) {
                    next.push_back(other);
                }
            }
        }
    }
    for (const std::string& name : facts.used) {
        const auto own = facts.arguments.find(name);
        const auto global = global_facts_.find(name);
        const bool known = own != facts.arguments.end() || global != global_facts_.end();
        if (known && seen.insert("argument " + name).second) {
            result_.facts.arguments.push_back(own != facts.arguments.end() ? own->second : global->second);
        }
    }
    for (const auto& [id, fact] : facts.secrets) {
        if (seen.insert("secret " + id).second) {
            result_.facts.secrets.push_back(fact);
        }
    }
    for (const auto& [id, fact] : facts.agents) {
        if (seen.insert("agent " + id).second) {
            result_.facts.agents.push_back(fact);
        }
    }
}

void Surveyor::collect_facts() {
    std::set<std::string> seen;
    for (const std::size_t stage : needed_for(result_.target)) {
        take_facts(walked_[stage].facts, seen);
    }
    const auto by_line = [](const auto& a, const auto& b) { return a.line < b.line; };
    std::stable_sort(result_.facts.arguments.begin(), result_.facts.arguments.end(), by_line);
    std::stable_sort(result_.facts.secrets.begin(), result_.facts.secrets.end(), by_line);
    std::stable_sort(result_.facts.agents.begin(), result_.facts.agents.end(), by_line);
}

}  // namespace

void Survey::require_clean(const BuildFile& file) const {
    if (!findings_are_errors || findings.empty()) {
        return;
    }
    std::set<std::string_view> names;
    for (const Finding& finding : findings) {
        names.insert(rule_of(finding.rule).name);
    }
    throw Error({.code = "check.failed",
                 .message = fmt::format("lint violation found for rules: {}", fmt::join(names, ", ")),
                 .hint = "mend them, or leave error=true out of the check= line",
                 .where = SourceSpan{file.source, findings.front().span}});
}

Survey survey(const BuildFile& file, const SurveyOptions& options) {
    return Surveyor(file, options).run();
}

}  // namespace imgbuild::builder
