#include "builder/frontend/instruction_parts.hpp"

#include "util/text.hpp"

#include <nlohmann/json.hpp>

namespace imgbuild::builder {

std::string Words::body(const parser::HeredocFile& file) const {
    if (!file.expand) return file.text;
    return expander_.expand_text(file.text, {.file = file_, .span = file.span});
}

void refuse(std::string_view what, std::string_view hint) {
    throw Error({.code = "usage.unsupported-instruction",
                 .message = std::string(what) + " is not supported yet",
                 .hint = std::string(hint),
                 .where = {}});
}

std::vector<std::string> command_args(const parser::CommandLine& command, const StageState& stage) {
    if (command.form == parser::CommandLine::Form::exec) return command.words;
    std::vector<std::string> args = stage.shell();
    args.push_back(command.words.empty() ? "" : command.words.front());
    return args;
}

std::string json_list(const std::vector<std::string>& words) {
    return nlohmann::json(words).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string one_line(std::string_view text) {
    std::string out;
    for (const std::string_view line : util::split(text, '\n')) {
        const std::string_view part = util::trim(line);
        if (part.empty()) continue;
        if (!out.empty()) out += ' ';
        out += part;
    }
    return out;
}

NodeOrigin origin_of(const parser::Instruction& instruction, const StageState& stage,
                     const InstructionContext& context) {
    return {.stage = stage.label,
            .instruction = one_line(instruction.original),
            .where = {.file = context.file, .span = instruction.span}};
}

}  // namespace imgbuild::builder
