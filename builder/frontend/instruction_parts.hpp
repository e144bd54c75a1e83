// Shared by the files that carry out instructions; not for others.
#pragma once

#include "builder/frontend/instructions.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::builder {

/// Expands the words of one instruction with the environment from before it.
class Words {
public:
    Words(const StageState& stage, const InstructionContext& context)
        : expander_(stage.environment(), context.escape), file_(context.file) {}

    std::string text(const parser::Word& word) const { return expander_.expand(word.text, at(word)); }
    std::vector<std::string> list(const parser::Word& word) const {
        return expander_.expand_words(word.text, at(word));
    }
    std::string body(const parser::HeredocFile& file) const;
    SourceSpan at(const parser::Word& word) const { return {.file = file_, .span = word.span}; }
    const parser::WordExpander& expander() const { return expander_; }

private:
    parser::WordExpander expander_;
    std::shared_ptr<const SourceFile> file_;
};

/// "usage.unsupported-instruction": the language has it, we do not yet.
[[noreturn]] void refuse(std::string_view what, std::string_view hint);

/// The arguments of a command: as they are, or the text for the stage's shell.
std::vector<std::string> command_args(const parser::CommandLine& command, const StageState& stage);
/// ["a","b"] for history and labels, as JSON.
std::string json_list(const std::vector<std::string>& words);
/// The instruction as written, in one line.
std::string one_line(std::string_view text);

NodeOrigin origin_of(const parser::Instruction& instruction, const StageState& stage,
                     const InstructionContext& context);

/// The mounts of a RUN, in its order.
std::vector<ExecMount> lower_mounts(const parser::Run& run, const StageState& stage, const InstructionContext& context);

void apply_run(const parser::Run& run, const parser::Instruction& instruction, StageState& stage,
               const InstructionContext& context);
void apply_copy(const parser::Copy& copy, const parser::Instruction& instruction, StageState& stage,
                const InstructionContext& context);
void apply_add(const parser::Add& add, const parser::Instruction& instruction, StageState& stage,
               const InstructionContext& context);
void apply_workdir(const parser::Workdir& workdir, const parser::Instruction& instruction, StageState& stage,
                   const InstructionContext& context);

}  // namespace imgbuild::builder
