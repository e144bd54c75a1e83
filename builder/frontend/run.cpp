// RUN: a command as a node of the graph.

#include "builder/frontend/instruction_parts.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <utility>

namespace imgbuild::builder {
namespace {

Security security_of(const parser::Run& run, const InstructionContext& context) {
    if (run.security == parser::SecurityMode::sandbox) return Security::sandbox;
    if (context.run_options.allow_insecure) return Security::insecure;
    throw UsageError({.code = "usage.not-allowed",
                      .message = "RUN --security=insecure was not allowed for this build",
                      .hint = "most steps work without it; if this one does not: --allow security.insecure",
                      .where = {}});
}

Network network_of(const parser::Run& run, const InstructionContext& context) {
    switch (run.network) {
        case parser::NetworkMode::standard:
            return context.run_options.network;
        case parser::NetworkMode::none:
            return Network::none;
        case parser::NetworkMode::host:
            return Network::host;
    }
    std::unreachable();
}

Script script_of(const parser::HeredocFile& heredoc) {
    if (heredoc.name.empty() || heredoc.name.contains('/') || heredoc.name == "." || heredoc.name == "..") {
        throw Error({.code = "parse.bad-heredoc-name",
                     .message = fmt::format("a script cannot be called {}", util::quote(heredoc.name)),
                     .hint = "name the heredoc with a word like EOF",
                     .where = {}});
    }
    return {.name = heredoc.name, .text = heredoc.text};
}

// Without a command of its own the heredoc is the script; with one, the shell gets text and bodies and reads the
// bodies itself. A script with an interpreter of its own is a file, which the shell starts.
parser::CommandLine command_of(const parser::Run& run, Exec& exec) {
    if (run.heredocs.empty() || run.command.form == parser::CommandLine::Form::exec) return run.command;
    const std::string text = run.command.words.empty() ? "" : run.command.words.front();
    const bool is_script = run.heredocs.size() == 1 && util::trim(text).starts_with("<<") &&
                           util::trim(text).find_first_of(" \t") == std::string_view::npos;
    parser::CommandLine out{.form = parser::CommandLine::Form::shell, .words = {}};
    if (is_script) {
        out.words = {run.heredocs.front().text};
        if (out.words.front().starts_with("#!")) {
            exec.scripts.push_back(script_of(run.heredocs.front()));
            out.words = {"/dev/pipes/" + exec.scripts.back().name};
        }
        return out;
    }
    std::string whole = text;
    for (const parser::HeredocFile& heredoc : run.heredocs) {
        whole += "\n" + heredoc.text + heredoc.name;
    }
    out.words = {whole};
    return out;
}

std::string history_text(const std::vector<NameValue>& args, const std::vector<std::string>& command) {
    std::string out = "RUN ";
    if (!args.empty()) {
        out += fmt::format("|{} ", args.size());
        for (const NameValue& arg : args) out += fmt::format("{}={} ", arg.first, arg.second);
    }
    for (const std::string& word : command) out += word + " ";
    return out + "# buildkit";
}

// What people see of the step: the command with its variables as they are now, so that two steps of one text differ by
// their values; and the beginning of a script that is no more than its heredoc.
std::string shown_text(const parser::Run& run, const parser::Instruction& instruction, const StageState& stage,
                       const InstructionContext& context) {
    std::string text = one_line(instruction.original);
    try {
        const parser::WordExpander expander(stage.environment(), context.escape,
                                            {.raw_quotes = true, .raw_escapes = true, .skip_unset = true});
        text = expander.expand(text);
    } catch (const Error&) {
        // What is no word for us ("${a[0]}") the shell may well understand: it stays as it was written.
    }
    if (run.heredocs.size() != 1 || run.heredocs.front().text.empty()) return text;
    const std::string_view body = util::trim(run.heredocs.front().text);
    const std::string_view first = util::trim(body.substr(0, body.find('\n')));
    return fmt::format("{} ({}{})", text, first, first.size() < body.size() ? "…" : "");
}

}  // namespace

void apply_run(const parser::Run& run, const parser::Instruction& instruction, StageState& stage,
               const InstructionContext& context) {
    if (!run.devices.empty()) refuse("RUN --device", "");
    Exec exec;
    exec.args = command_args(command_of(run, exec), stage);
    if (exec.args.empty()) {
        throw ParseError(context.file, {{.severity = Severity::error,
                                         .code = "parse.empty-command",
                                         .message = "RUN has no command",
                                         .hint = "write a command, or an exec form with at least one word",
                                         .span = instruction.span}});
    }
    exec.env = stage.command_env();
    const std::vector<NameValue> args = stage.visible_args();
    const parser::Environment known = stage.environment();
    for (const NameValue& proxy : context.globals.proxies()) {
        // Programs disagree on the case of these names.
        for (const std::string& name : {util::to_lower(proxy.first), util::to_upper(proxy.first)}) {
            if (!known(name)) exec.unkeyed_env.push_back(name + "=" + proxy.second);
        }
    }
    exec.workdir = stage.workdir();
    exec.user = stage.config.config.user;
    exec.network = network_of(run, context);
    exec.security = security_of(run, context);
    exec.mounts = lower_mounts(run, stage, context);
    exec.hosts = context.run_options.hosts;
    exec.ulimits = context.run_options.ulimits;
    exec.shm_size = context.run_options.shm_size;

    stage.add_history(history_text(args, exec.args), StageState::Layer::made);
    Node node{.op = std::move(exec), .base = stage.fs, .origin = origin_of(instruction, stage, context)};
    node.origin.instruction = shown_text(run, instruction, stage, context);
    stage.fs = context.graph.add(std::move(node));
}

}  // namespace imgbuild::builder
