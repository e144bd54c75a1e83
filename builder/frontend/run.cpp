// RUN: a command as a node of the graph.

#include "builder/frontend/instruction_parts.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::builder {
namespace {

void refuse_what_is_missing(const parser::Run& run) {
    if (!run.mounts.empty()) refuse("RUN --mount", "copy the files with COPY, or wait for the next release");
    if (!run.devices.empty()) refuse("RUN --device", "");
    if (run.security == parser::SecurityMode::insecure) {
        refuse("RUN --security=insecure", "most steps work without it: leave it out");
    }
}

// Without a command of its own the heredoc is the script; with one, the shell gets text and bodies and reads the
// bodies itself.
parser::CommandLine command_of(const parser::Run& run) {
    if (run.heredocs.empty() || run.command.form == parser::CommandLine::Form::exec) return run.command;
    const std::string text = run.command.words.empty() ? "" : run.command.words.front();
    const bool is_script = run.heredocs.size() == 1 && util::trim(text).starts_with("<<") &&
                           util::trim(text).find_first_of(" \t") == std::string_view::npos;
    parser::CommandLine out{.form = parser::CommandLine::Form::shell, .words = {}};
    if (is_script) {
        if (run.heredocs.front().text.starts_with("#!")) {
            refuse("a heredoc with its own interpreter (#!)", "call the interpreter: RUN python3 <<EOF");
        }
        out.words = {run.heredocs.front().text};
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

}  // namespace

void apply_run(const parser::Run& run, const parser::Instruction& instruction, StageState& stage,
               const InstructionContext& context) {
    refuse_what_is_missing(run);
    Exec exec;
    exec.args = command_args(command_of(run), stage);
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
    exec.network = run.network == parser::NetworkMode::none ? Network::none : Network::host;

    stage.add_history(history_text(args, exec.args), StageState::Layer::made);
    Node node{.op = std::move(exec), .base = stage.fs, .origin = origin_of(instruction, stage, context)};
    stage.fs = context.graph.add(std::move(node));
}

}  // namespace imgbuild::builder
