// The instructions that only change the image's config; the others are in run.cpp and copy.cpp.

#include "builder/frontend/instructions.hpp"

#include "builder/frontend/instruction_parts.hpp"
#include "parser/values.hpp"
#include "util/overloaded.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::builder {
namespace {

using Layer = StageState::Layer;

class Applier {
public:
    Applier(const parser::Instruction& instruction, StageState& stage, const InstructionContext& context)
        : instruction_(instruction), stage_(stage), context_(context), config_(stage.config.config) {}

    void operator()(const parser::Run& run) { apply_run(run, instruction_, stage_, context_); }
    void operator()(const parser::Copy& copy) { apply_copy(copy, instruction_, stage_, context_); }
    void operator()(const parser::Add& add) { apply_add(add, instruction_, stage_, context_); }
    void operator()(const parser::Workdir& workdir) { apply_workdir(workdir, instruction_, stage_, context_); }

    void operator()(const parser::Arg& arg) {
        std::string history = "ARG";
        for (const parser::Arg::Item& item : arg.items) {
            const Words words(stage_, context_);
            const std::string& name = item.name.text;
            std::optional<std::string> value;
            if (item.value) value = words.text(*item.value);
            if (item.value) {
                if (auto given = context_.globals.given(name)) value = std::move(given);
            } else {
                value = context_.globals.inherited(name);
            }
            history += " " + name + (value ? "=" + *value : "");
            stage_.set_arg(name, std::move(value));
        }
        stage_.add_history(std::move(history), Layer::none);
    }

    void operator()(const parser::Env& env) {
        const Words words(stage_, context_);
        std::string history = "ENV";
        for (const parser::KeyValue& pair : env.pairs) {
            const std::string name = words.text(pair.key);
            const std::string value = words.text(pair.value);
            history += fmt::format(" {}={}", name, value);
            stage_.set_env(name, value);
        }
        stage_.add_history(std::move(history), Layer::none);
    }

    void operator()(const parser::Label& label) {
        const Words words(stage_, context_);
        std::string history = "LABEL";
        for (const parser::KeyValue& pair : label.pairs) {
            const std::string name = words.text(pair.key);
            const std::string value = words.text(pair.value);
            history += fmt::format(" {}={}", name, value);
            config_.labels[name] = value;
        }
        stage_.add_history(std::move(history), Layer::none);
    }

    void operator()(const parser::Cmd& cmd) {
        config_.cmd = command_args(cmd.command, stage_);
        config_.args_escaped = true;
        stage_.cmd_is_own = true;
        stage_.add_history("CMD " + json_list(*config_.cmd), Layer::none);
    }

    void operator()(const parser::Entrypoint& entrypoint) {
        config_.entrypoint = command_args(entrypoint.command, stage_);
        // An inherited CMD is made for the inherited entry point.
        if (!stage_.cmd_is_own) config_.cmd.reset();
        stage_.add_history("ENTRYPOINT " + json_list(*config_.entrypoint), Layer::none);
    }

    void operator()(const parser::Shell& shell) {
        config_.shell = shell.words;
        stage_.add_history("SHELL " + json_list(shell.words), Layer::none);
    }

    void operator()(const parser::User& user) {
        config_.user = Words(stage_, context_).text(user.user);
        stage_.add_history("USER " + config_.user, Layer::none);
    }

    void operator()(const parser::Volume& volume) {
        const Words words(stage_, context_);
        std::vector<std::string> paths;
        for (const parser::Word& path : volume.paths) {
            paths.push_back(words.text(path));
            if (paths.back().empty()) throw bad_value("VOLUME has an empty path", words.at(path));
            config_.volumes.insert(paths.back());
        }
        stage_.add_history("VOLUME " + json_list(paths), Layer::none);
    }

    void operator()(const parser::Expose& expose) {
        const Words words(stage_, context_);
        std::string ports;
        for (const parser::Word& word : expose.ports) {
            for (const std::string& text : words.list(word)) {
                for (const std::string& port : parser::parse_ports(text)) {
                    config_.exposed_ports.insert(port);
                    ports += fmt::format("{}{}:{{}}", ports.empty() ? "" : " ", port);
                }
            }
        }
        stage_.add_history(fmt::format("EXPOSE map[{}]", ports), Layer::none);
    }

    void operator()(const parser::StopSignal& stop) {
        const std::string signal = Words(stage_, context_).text(stop.signal);
        static_cast<void>(parser::parse_signal(signal));  // throws for what is none
        config_.stop_signal = signal;
        stage_.add_history("STOPSIGNAL " + signal, Layer::none);
    }

    void operator()(const parser::Healthcheck& check) {
        oci::Healthcheck out;
        if (check.none) {
            out.test = {"NONE"};
        } else {
            const bool shell = check.command.form == parser::CommandLine::Form::shell;
            out.test = {shell ? "CMD-SHELL" : "CMD"};
            out.test.insert(out.test.end(), check.command.words.begin(), check.command.words.end());
            out.interval = check.interval.count();
            out.timeout = check.timeout.count();
            out.start_period = check.start_period.count();
            out.start_interval = check.start_interval.count();
            out.retries = check.retries;
        }
        stage_.add_history("HEALTHCHECK " + json_list(out.test), Layer::none);
        config_.healthcheck = std::move(out);
    }

    void operator()(const parser::Onbuild& onbuild) {
        // No history: a trigger is carried out, and told, by the image that is built on this one.
        config_.on_build.push_back(onbuild.text);
    }

    void operator()(const parser::Maintainer& maintainer) {
        stage_.config.author = maintainer.author.text;
        stage_.add_history("MAINTAINER " + maintainer.author.text, Layer::none);
    }

private:
    static Error bad_value(std::string message, SourceSpan where) {
        return Error({.code = "parse.bad-value", .message = std::move(message), .hint = {}, .where = std::move(where)});
    }

    const parser::Instruction& instruction_;
    StageState& stage_;
    const InstructionContext& context_;
    oci::RunConfig& config_;
};

}  // namespace

void apply_instruction(const parser::Instruction& instruction, StageState& stage, const InstructionContext& context) {
    try {
        std::visit(Applier(instruction, stage, context), instruction.body);
    } catch (Error& error) {
        error.locate({.file = context.file, .span = instruction.span});
        throw;
    }
}

}  // namespace imgbuild::builder
