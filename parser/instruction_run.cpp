// RUN, HEALTHCHECK and ONBUILD: the instructions that hold commands or other instructions.

#include "parser/instruction_parser.hpp"
#include "parser/instruction_source.hpp"
#include "parser/mount.hpp"
#include "parser/reject.hpp"
#include "parser/values.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <memory>
#include <utility>

namespace imgbuild::parser {
namespace {

using Kind = FlagSet::Kind;
using std::chrono::nanoseconds;

[[noreturn]] void reject_value(std::string message, std::string hint, Span span) {
    reject("parse.bad-flag-value", std::move(message), std::move(hint), span);
}

NetworkMode network_of(const Word& word) {
    if (word.text == "default") {
        return NetworkMode::standard;
    }
    if (word.text == "none") {
        return NetworkMode::none;
    }
    if (word.text == "host") {
        return NetworkMode::host;
    }
    reject_value(fmt::format("invalid network mode \"{}\"", shown(word.text)), "write default, none or host",
                 word.span);
}

SecurityMode security_of(const Word& word) {
    if (word.text == "sandbox") {
        return SecurityMode::sandbox;
    }
    if (word.text == "insecure") {
        return SecurityMode::insecure;
    }
    reject_value(fmt::format("security \"{}\" is not valid", shown(word.text)), "write sandbox or insecure", word.span);
}

void check_from(std::string_view from, Span span) {
    if (from.contains('$')) {
        reject("parse.variable-in-mount-from",
               fmt::format("'from={}' in --mount doesn't support variable expansion", shown(from)),
               "define an alias stage (FROM $image AS name), and name it here", span);
    }
}

bool has_variables(const MountFlag& flag) {
    for (const MountOption& option : flag.options) {
        if (option.value && option.value->contains('$')) {
            return true;
        }
    }
    return false;
}

/// Reads a --mount and, as far as that is possible without knowing variables, checks it.
MountFlag parse_mount(const InstructionSource& source, const Word& word) {
    MountFlag flag = parse_mount_flag(word.text, word.span);
    for (const MountOption& option : flag.options) {
        if (option.key == "from" && option.value) {
            check_from(*option.value, word.span);
        }
    }
    if (!has_variables(flag)) {
        try {
            resolve_mount(flag, WordExpander([](std::string_view) { return std::nullopt; }, source.escape));
        } catch (const Error& error) {
            source.late("parse.bad-mount", error.message(), error.hint(), word.span);
        }
    }
    return flag;
}

nanoseconds interval_of(const FlagSet& flags, std::string_view name) {
    const std::optional<Word> word = flags.text(name);
    if (!word || word->text.empty()) {
        return nanoseconds(0);
    }
    nanoseconds value{0};
    try {
        value = parse_duration(word->text);
    } catch (Error& error) {
        error.locate({nullptr, word->span});
        throw;
    }
    if (value != nanoseconds(0) && value < std::chrono::milliseconds(1)) {
        reject_value(fmt::format("Interval \"{}\" cannot be less than 1ms", name), "write 0 to inherit the value",
                     word->span);
    }
    return value;
}

std::int64_t retries_of(const FlagSet& flags) {
    const std::optional<Word> word = flags.text("retries");
    if (!word || word->text.empty()) {
        return 0;
    }
    const std::optional<std::uint64_t> number = util::parse_number(word->text);
    if (!number || *number > 0x7FFFFFFF) {
        reject_value(fmt::format("--retries must be a number that is not negative, not {}", util::quote(word->text)),
                     "write --retries=3", word->span);
    }
    return static_cast<std::int64_t>(*number);
}

void check_trigger_keyword(const InstructionSource& source, const Node& trigger) {
    const std::string upper = util::to_upper(trigger.keyword);
    if (upper == "ONBUILD") {
        reject_arguments(source, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    }
    if (upper == "FROM" || upper == "MAINTAINER") {
        reject_arguments(source, fmt::format("{} isn't allowed as an ONBUILD trigger", upper));
    }
}

}  // namespace

Run parse_run(const InstructionSource& source) {
    const FlagSet flags(
        source.node,
        {{"mount", Kind::list}, {"network", Kind::text}, {"security", Kind::text}, {"device", Kind::list}});
    Run run;
    run.command = command_of(source);
    for (const Heredoc& heredoc : source.node.heredocs) {
        run.heredocs.push_back(heredoc_file(heredoc));
    }
    for (const Word& word : flags.list("mount")) {
        run.mounts.push_back(parse_mount(source, word));
    }
    if (const std::optional<Word> network = flags.text("network")) {
        run.network = network_of(*network);
    }
    if (const std::optional<Word> security = flags.text("security")) {
        run.security = security_of(*security);
    }
    run.devices = flags.list("device");
    run.flags_used = flags.used();
    return run;
}

Healthcheck parse_healthcheck(const InstructionSource& source) {
    const FlagSet flags(source.node, {{"interval", Kind::text},
                                      {"timeout", Kind::text},
                                      {"start-period", Kind::text},
                                      {"start-interval", Kind::text},
                                      {"retries", Kind::text}});
    source.at_least_one();
    const std::string type = util::to_upper(source.words().front().text);
    Healthcheck check;
    if (type == "NONE") {
        if (source.words().size() != 1) {
            reject_arguments(source, "HEALTHCHECK NONE takes no arguments");
        }
        check.none = true;
        return check;
    }
    if (type != "CMD") {
        reject_arguments(source, fmt::format("Unknown type \"{}\" in HEALTHCHECK (try CMD)", shown(type)),
                         "write HEALTHCHECK CMD command or HEALTHCHECK NONE");
    }
    check.command = command_of(source, 1);
    if (check.command.words.empty()) {
        reject_arguments(source, "Missing command after HEALTHCHECK CMD");
    }
    check.interval = interval_of(flags, "interval");
    check.timeout = interval_of(flags, "timeout");
    check.start_period = interval_of(flags, "start-period");
    check.start_interval = interval_of(flags, "start-interval");
    check.retries = retries_of(flags);
    return check;
}

Onbuild parse_onbuild(const InstructionSource& source) {
    source.no_flags();
    const std::optional<Node> trigger = trigger_of(source.node, source.escape);
    if (!trigger) {
        source.at_least_one();
    }
    check_trigger_keyword(source, *trigger);
    Onbuild onbuild;
    onbuild.text = trigger->original();
    for (const Heredoc& heredoc : trigger->heredocs) {
        onbuild.text += "\n" + heredoc.content + heredoc.name;
    }
    try {
        onbuild.trigger = std::make_shared<const Instruction>(
            parse_instruction(*trigger, require_keyword(*trigger), source.escape, source.problems));
    } catch (const Error& error) {
        const Diagnostic problem = to_diagnostic(error, source.node.arguments_span());
        source.late("parse.bad-trigger", problem.message, problem.hint, problem.span);
    }
    return onbuild;
}

}  // namespace imgbuild::parser
