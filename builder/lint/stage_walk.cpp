#include "builder/lint/stage_walk.hpp"

#include "builder/lint/own_rules.hpp"
#include "builder/lint/word_rules.hpp"
#include "parser/glob.hpp"
#include "parser/mount.hpp"
#include "parser/reject.hpp"
#include "parser/values.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

namespace imgbuild::builder {
namespace {

using parser::Instruction;
using parser::Word;

/// Build arguments that are for the builder and never in an environment.
bool is_builders_own(std::string_view name) {
    return name == "BUILDKIT_SBOM_SCAN_CONTEXT" || name == "BUILDKIT_SBOM_SCAN_STAGE";
}

class StageWalk {
public:
    StageWalk(const SurveyContext& context, std::size_t index, WalkedStage& stage)
        : context_(context), stage_(stage), os_(context.names.platform_of(index).os) {
        for (const Instruction& instruction : context.file.stages[index].instructions) {
            has_cmd_ = has_cmd_ || std::holds_alternative<parser::Cmd>(instruction.body);
            stage_.has_entrypoint =
                stage_.has_entrypoint || std::holds_alternative<parser::Entrypoint>(instruction.body);
        }
    }

    void walk(const Instruction& instruction, char escape);
    /// Its words stand in no line of the file, so what is found in it is told at FROM and mended by nobody.
    void walk_trigger(const Instruction& trigger);

    void operator()(const parser::Arg& arg);
    void operator()(const parser::Env& env);
    void operator()(const parser::Label& label);
    void operator()(const parser::Run& run);
    void operator()(const parser::Cmd& cmd) { check_command(cmd.command, cmd_, stage_.has_entrypoint); }
    void operator()(const parser::Entrypoint& entrypoint) { check_command(entrypoint.command, entrypoint_, has_cmd_); }
    void operator()(const parser::Shell& shell) { stage_.shell = shell.words; }
    void operator()(const parser::Copy& copy) { check_files(copy.files, !copy.from, "Copy"); }
    void operator()(const parser::Add& add);
    void operator()(const parser::Workdir& workdir);
    void operator()(const parser::User& user) { expand(user.user); }
    void operator()(const parser::Volume& volume);
    void operator()(const parser::Expose& expose);
    void operator()(const parser::StopSignal& stop);
    void operator()(const parser::Healthcheck&) { check_once(healthcheck_); }
    void operator()(const parser::Onbuild& onbuild) { stage_.triggers.push_back(onbuild.text); }
    void operator()(const parser::Maintainer&) {}

private:
    void report(RuleId rule, std::string detail, Span span, std::string hint = {}, std::vector<Edit> fix = {}) {
        if (in_trigger_) {
            fix.clear();
        }
        context_.findings.add(
            checks_, {rule, std::move(detail), place(span), instruction_->span, std::move(hint), std::move(fix)});
    }
    /// The place in the file of a word of the instruction.
    Span place(Span span) const { return in_trigger_ ? instruction_->span : span; }
    /// Refers to the stage, whose variables change.
    parser::Environment environment() const;
    /// The text with its variables, nothing if one of them may be anything.
    std::optional<std::string> expand(const Word& word);
    std::optional<std::string> expand(std::string_view text, Span span, parser::ExpandMode mode = {});
    bool is_known(const std::set<std::string, std::less<>>& unmatched, Span span);
    void check_pairs(const std::vector<parser::KeyValue>& pairs);
    void check_once(std::optional<Span>& earlier);
    /// `has_other`: there is an ENTRYPOINT for a CMD, or the other way round.
    void check_command(const parser::CommandLine& command, std::optional<Span>& earlier, bool has_other);
    void check_files(const parser::FileSet& files, bool from_context, std::string_view verb);
    void check_source(const std::string& source, Span span, bool from_context, std::string_view verb);
    void check_port(const std::string& text, Span span);
    void note_mount(const parser::MountFlag& flag);
    std::string absolute(const std::string& path) const;

    const SurveyContext& context_;
    WalkedStage& stage_;
    std::string os_;
    const Instruction* instruction_ = nullptr;
    bool in_trigger_ = false;
    char escape_ = '\\';
    CheckOptions checks_;
    bool has_cmd_ = false;
    std::optional<Span> cmd_;
    std::optional<Span> entrypoint_;
    std::optional<Span> healthcheck_;
};

void StageWalk::walk(const Instruction& instruction, char escape) {
    instruction_ = &instruction;
    escape_ = escape;
    checks_ = context_.checks.with_comment(instruction.previous_comment);
    try {
        std::visit(*this, instruction.body);
    } catch (Error& error) {
        error.locate({context_.file.source, instruction.span});
        throw;
    }
}

void StageWalk::walk_trigger(const Instruction& trigger) {
    in_trigger_ = true;
    walk(trigger, '\\');
    in_trigger_ = false;
}

bool StageWalk::is_known(const std::set<std::string, std::less<>>& unmatched, Span span) {
    bool known = true;
    for (const std::string& name : unmatched) {
        if (stage_.declared.contains(name) || is_builders_own(name)) {
            continue;
        }
        if (!stage_.base_known) {
            known = false;
            continue;
        }
        std::vector<std::string_view> names;
        for (const auto& variable : stage_.variables) {
            names.push_back(variable.first);
        }
        const std::optional<std::string_view> near = nearest_of(name, names);
        report(RuleId::undefined_var,
               fmt::format("Usage of undefined variable '${}'{}", name,
                           near ? fmt::format(" (did you mean ${}?)", *near) : std::string()),
               span, near ? std::string() : fmt::format("declare it above with ARG {}", name));
    }
    return known;
}

parser::Environment StageWalk::environment() const {
    return [&variables = stage_.variables](std::string_view name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
}

std::optional<std::string> StageWalk::expand(std::string_view text, Span span, parser::ExpandMode mode) {
    const parser::WordExpander expander(environment(), mode.ignore_quotes ? '\\' : escape_, mode);
    try {
        parser::Expansion expansion = expander.expand_with_uses(text, {context_.file.source, place(span)});
        return is_known(expansion.unmatched, span) ? std::optional(std::move(expansion.text)) : std::nullopt;
    } catch (const Error& error) {
        // The base may set what is asked for here.
        if (error.code() == "parse.required-variable" && !stage_.base_known) {
            return std::nullopt;
        }
        throw;
    }
}

std::optional<std::string> StageWalk::expand(const Word& word) {
    return expand(word.text, word.span);
}

void StageWalk::operator()(const parser::Arg& arg) {
    for (const parser::Arg::Item& item : arg.items) {
        const std::string& name = item.name.text;
        if (looks_like_secret(name)) {
            report(RuleId::secrets_used_in_arg_or_env,
                   fmt::format("Do not use ARG or ENV instructions for sensitive data (ARG \"{}\")", name),
                   item.name.span, "use RUN --mount=type=secret");
        }
        std::optional<std::string> value = context_.globals.given(name);
        bool ours = value.has_value() || item.value.has_value();
        if (!value && item.value) {
            value = expand(*item.value).value_or(std::string());
        } else if (!value) {
            value = context_.globals.inherited(name);
            ours = !value;
        }
        if (ours) {
            stage_.facts.arguments[name] = {name, item.description, value.value_or(std::string()),
                                            instruction_->span.line};
        }
        stage_.facts.used.insert(name);
        stage_.declared.insert(name);
        if (value) {
            stage_.variables[name] = std::move(*value);
        }
    }
}

void StageWalk::check_pairs(const std::vector<parser::KeyValue>& pairs) {
    for (const parser::KeyValue& pair : pairs) {
        if (!pair.legacy) {
            continue;
        }
        const std::string keyword = util::to_upper(instruction_->keyword);
        std::vector<Edit> fix;
        std::string hint = fmt::format("write {}=VALUE", pair.key.text);
        // Quotes keep the words of the value together; with quotes of its own it means something else in each form.
        const std::string both_texts = pair.key.text + pair.value.text;
        if (both_texts.find_first_of("\"'\n") == std::string::npos && !both_texts.contains(escape_) &&
            pair.key.span.end_line == pair.value.span.line && pair.value.span.line == pair.value.span.end_line) {
            const bool quote = pair.value.text.empty() || !is_one_plain_word(pair.value.text);
            const Span both{pair.key.span.line, pair.key.span.column, pair.value.span.end_line,
                            pair.value.span.end_column};
            const std::string_view mark = quote ? "\"" : "";
            const std::string right = fmt::format("{}={}{}{}", pair.key.text, mark, pair.value.text, mark);
            hint = "write " + right;
            fix.push_back({both, right});
        }
        report(RuleId::legacy_key_value_format,
               fmt::format("\"{0} key=value\" should be used instead of legacy \"{0} key value\" format", keyword),
               pair.key.span, std::move(hint), std::move(fix));
    }
}

void StageWalk::operator()(const parser::Env& env) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const parser::KeyValue& pair : env.pairs) {
        const std::string name = expand(pair.key).value_or(pair.key.text);
        pairs.emplace_back(name, expand(pair.value).value_or(std::string()));
    }
    check_pairs(env.pairs);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        if (looks_like_secret(pairs[i].first)) {
            report(RuleId::secrets_used_in_arg_or_env,
                   fmt::format("Do not use ARG or ENV instructions for sensitive data (ENV \"{}\")", pairs[i].first),
                   env.pairs[i].key.span, "use RUN --mount=type=secret");
        }
        stage_.variables[pairs[i].first] = pairs[i].second;
    }
}

void StageWalk::operator()(const parser::Label& label) {
    for (const parser::KeyValue& pair : label.pairs) {
        expand(pair.key);
        expand(pair.value);
    }
    check_pairs(label.pairs);
}

void StageWalk::note_mount(const parser::MountFlag& flag) {
    bool known = true;
    for (const parser::MountOption& option : flag.options) {
        known = !option.value || expand(*option.value, flag.span) ? known : false;
    }
    if (!known) {
        return;
    }
    const parser::WordExpander expander(environment(), escape_);
    parser::MountFlag here = flag;
    here.span = place(flag.span);
    const parser::Mount mount = parser::resolve_mount(here, expander, context_.file.source);
    const MountFact fact{mount.id, mount.required, instruction_->span.line};
    if (mount.type == parser::MountType::secret) {
        stage_.facts.secrets.emplace(mount.id, fact);
    } else if (mount.type == parser::MountType::ssh) {
        stage_.facts.agents.emplace(mount.id, fact);
    }
}

void StageWalk::operator()(const parser::Run& run) {
    for (const parser::MountFlag& flag : run.mounts) {
        note_mount(flag);
    }
    if (script_ignores_errors(run, stage_.shell)) {
        report(RuleId::heredoc_ignores_errors,
               "the script goes on after a command that fails, and only its last one counts", run.heredocs.front().span,
               "begin it with set -e, or say SHELL [\"/bin/sh\", \"-ec\"] above");
    }
    for (const OwnerChange& change : owner_changes(run)) {
        const auto copied = std::find_if(stage_.copied.begin(), stage_.copied.end(), [&](const CopiedFiles& files) {
            return lies_below(files.destination, absolute(change.path));
        });
        if (copied != stage_.copied.end()) {
            report(RuleId::metadata_only_layer,
                   fmt::format("{} -R stores the files of line {} a second time", change.program, copied->line),
                   instruction_->arguments,
                   fmt::format("write --{} at line {} instead", change.program == "chmod" ? "chmod" : "chown",
                               copied->line));
        }
    }
}

void StageWalk::check_once(std::optional<Span>& earlier) {
    if (earlier) {
        // The earlier one is what has no effect, so it is what is told.
        context_.findings.add(checks_, {RuleId::multiple_instructions_disallowed,
                                        fmt::format("Multiple {} instructions should not be used in the same stage "
                                                    "because only the last one will be used",
                                                    instruction_->keyword),
                                        *earlier,
                                        *earlier,
                                        "remove it",
                                        {}});
    }
    earlier = instruction_->span;
}

void StageWalk::check_command(const parser::CommandLine& command, std::optional<Span>& earlier, bool has_other) {
    check_once(earlier);
    if (command.form != parser::CommandLine::Form::shell || !stage_.shell.empty()) {
        return;
    }
    std::vector<Edit> fix;
    std::string hint = "write a list, or say which shell is meant with SHELL";
    const bool one_line = instruction_->arguments.line == instruction_->arguments.end_line;
    // With both of them, the list form of one changes what the other means.
    if (!has_other && one_line && command.words.size() == 1) {
        if (std::optional<std::string> list = list_of_words(command.words.front())) {
            hint = "write " + *list;
            fix.push_back({instruction_->arguments, std::move(*list)});
        }
    }
    report(RuleId::json_args_recommended,
           fmt::format("JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                       util::to_upper(instruction_->keyword)),
           instruction_->arguments, std::move(hint), std::move(fix));
}

void StageWalk::check_files(const parser::FileSet& files, bool from_context, std::string_view verb) {
    if (files.chown) {
        expand(*files.chown);
    }
    if (const std::optional<std::string> mode = files.chmod ? expand(*files.chmod) : std::nullopt) {
        static_cast<void>(parser::FileMode::parse(*mode));
    }
    for (const Word& source : files.sources) {
        if (const std::optional<std::string> text = expand(source)) {
            check_source(*text, source.span, from_context, verb);
        }
    }
    const std::optional<std::string> destination = expand(files.destination);
    for (const Word& exclude : files.excludes) {
        expand(exclude);
    }
    for (const parser::HeredocFile& heredoc : files.heredocs) {
        if (heredoc.expand) {
            expand(heredoc.text, heredoc.span, {.ignore_quotes = true});
        }
    }
    if (destination) {
        stage_.copied.push_back({absolute(*destination), instruction_->span.line});
    }
}

void StageWalk::check_source(const std::string& source, Span span, bool from_context, std::string_view verb) {
    if (is_remote_source(source)) {
        if (verb == "Copy") {
            parser::reject("parse.bad-value", fmt::format("COPY cannot fetch {}", util::quote(source)), "use ADD",
                           place(span));
        }
        return;
    }
    const parser::IgnoreMatcher* ignore = from_context ? context_.options.ignore : nullptr;
    const std::optional<std::string> path = ignore != nullptr ? ignored_source(source, *ignore) : std::nullopt;
    if (path) {
        report(
            RuleId::copy_ignored_file,
            fmt::format("Attempting to {} file \"{}\" that is excluded by .dockerignore", verb, parser::shown(*path)),
            span, "bring it back with a line that begins with ! in the ignore file");
    }
}

void StageWalk::operator()(const parser::Add& add) {
    if (add.checksum) {
        expand(*add.checksum);
    }
    check_files(add.files, true, "Add");
}

std::string StageWalk::absolute(const std::string& path) const {
    return parser::clean_pattern(path.starts_with('/') ? path : stage_.workdir + "/" + path);
}

void StageWalk::operator()(const parser::Workdir& workdir) {
    const std::optional<std::string> path = expand(workdir.path);
    const std::string text = path.value_or(workdir.path.text);
    if (path && !stage_.workdir_set && !is_absolute_on(text, os_)) {
        std::vector<Edit> fix;
        std::string hint = "write the whole path";
        // Where the base's directory is known, and nothing in the word moves with a variable.
        if (stage_.base_known && path == workdir.path.text) {
            hint = "write " + absolute(text);
            fix.push_back({workdir.path.span, absolute(text)});
        }
        report(RuleId::workdir_relative_path,
               fmt::format("Relative workdir \"{}\" can have unexpected results if the base image changes",
                           parser::shown(text)),
               workdir.path.span, std::move(hint), std::move(fix));
    }
    stage_.workdir_set = true;
    stage_.workdir = absolute(text);
}

void StageWalk::operator()(const parser::Volume& volume) {
    for (const Word& word : volume.paths) {
        if (const std::optional<std::string> path = expand(word); path && path->empty()) {
            parser::reject("parse.bad-value", "VOLUME specified can not be an empty string", "name a directory",
                           place(word.span));
        }
    }
}

void StageWalk::operator()(const parser::Expose& expose) {
    for (const Word& word : expose.ports) {
        // What an unknown base sets may be any port.
        if (!stage_.base_known && word.text.contains('$')) {
            continue;
        }
        const parser::WordExpander expander(environment(), escape_);
        for (const std::string& port : expander.expand_words(word.text, {context_.file.source, place(word.span)})) {
            check_port(port, word.span);
        }
    }
}

void StageWalk::check_port(const std::string& text, Span span) {
    const std::size_t slash =
        std::min(text.find('/', text.rfind(':') == std::string::npos ? 0 : text.rfind(':')), text.size());
    const std::string protocol = text.substr(slash);
    const std::string lower = util::to_lower(protocol);
    static_cast<void>(parser::parse_ports(text));
    if (protocol != lower) {
        std::vector<Edit> fix;
        if (span.line == span.end_line && span.end_column - span.column == text.size()) {
            fix.push_back({span, text.substr(0, slash) + lower});
        }
        report(RuleId::expose_proto_casing,
               fmt::format("Defined protocol '{}' in EXPOSE instruction should be lowercase", text), span,
               fmt::format("write {}{}", text.substr(0, slash), lower), std::move(fix));
    }
    const std::size_t host = text.substr(0, slash).rfind(':');
    if (host != std::string::npos && host > 0) {
        report(RuleId::expose_invalid_format,
               fmt::format("EXPOSE instruction should not define an IP address or host-port mapping, found '{}'", text),
               span, "give the container's port alone; docker run -p maps it");
    }
}

void StageWalk::operator()(const parser::StopSignal& stop) {
    if (const std::optional<std::string> signal = expand(stop.signal)) {
        static_cast<void>(parser::parse_signal(*signal));
    }
}

/// A trigger as an instruction of this file: all its places are FROM's.
Instruction read_trigger(const std::string& text, Span from) {
    Instruction trigger = parser::parse_trigger(std::make_shared<const SourceFile>(SourceFile{"ONBUILD", text}));
    trigger.span = from;
    trigger.arguments = from;
    trigger.keyword_span = from;
    trigger.previous_comment.clear();
    return trigger;
}

}  // namespace

std::optional<std::string_view> nearest_of(std::string_view name, const std::vector<std::string_view>& candidates) {
    static constexpr std::size_t kMost = 1000;
    return candidates.size() > kMost ? std::nullopt : util::nearest(name, candidates);
}

void walk_stage(const SurveyContext& context, std::size_t index, const std::vector<std::string>& triggers,
                WalkedStage& stage) {
    const parser::Stage& written = context.file.stages[index];
    StageWalk walk(context, index, stage);
    for (const std::string& text : triggers) {
        walk.walk_trigger(read_trigger(text, written.span));
    }
    for (const Instruction& instruction : written.instructions) {
        walk.walk(instruction, context.file.escape);
    }
}

}  // namespace imgbuild::builder
