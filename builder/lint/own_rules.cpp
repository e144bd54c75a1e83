#include "builder/lint/own_rules.hpp"

#include "util/text.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace imgbuild::builder {
namespace {

bool is_shell(std::string_view program) {
    static constexpr std::array<std::string_view, 6> kShells = {"sh", "bash", "dash", "ash", "ksh", "zsh"};
    const std::string_view name = program.substr(program.rfind('/') + 1);
    return std::find(kShells.begin(), kShells.end(), name) != kShells.end();
}

/// "-e", "-ec", "-euxo": an option that makes a shell stop at errors.
bool has_errexit(std::string_view option) {
    return option.starts_with('-') && !option.starts_with("--") && option.contains('e');
}

/// Words between blanks; quotes are ordinary characters.
std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> result;
    while (true) {
        const std::size_t begin = text.find_first_not_of(" \t\r\n");
        if (begin == std::string_view::npos) {
            return result;
        }
        text.remove_prefix(begin);
        const std::size_t end = std::min(text.find_first_of(" \t\r\n"), text.size());
        result.push_back(text.substr(0, end));
        text.remove_prefix(end);
    }
}

bool sets_errexit(std::string_view line) {
    const std::vector<std::string_view> words = words_of(line);
    if (words.empty() || words.front() != "set") {
        return false;
    }
    return std::any_of(words.begin() + 1, words.end(),
                       [](std::string_view word) { return has_errexit(word) || word == "errexit"; });
}

bool goes_on(std::string_view line) {
    return line.ends_with('\\') || line.ends_with("&&") || line.ends_with('|');
}

/// Lines that begin a command, up to the one that switches errors on.
bool has_unguarded_commands(std::string_view script) {
    std::size_t commands = 0;
    bool continued = false;
    for (const std::string_view raw : util::split(script, '\n')) {
        const std::string_view line = util::trim(raw);
        if (line.empty() || line.starts_with('#')) {
            continue;
        }
        if (!continued && sets_errexit(line)) {
            return commands > 1;
        }
        commands += continued ? 0 : 1;
        continued = goes_on(line);
    }
    return commands > 1;
}

/// "#!/bin/sh -e": does the script's own interpreter stop at errors? Nothing if it is no shell.
std::optional<bool> interpreter_stops(std::string_view first_line) {
    std::vector<std::string_view> words = words_of(first_line.substr(2));
    if (!words.empty() && words.front().ends_with("/env")) {
        words.erase(words.begin());
    }
    if (words.empty() || !is_shell(words.front())) {
        return std::nullopt;
    }
    return std::any_of(words.begin() + 1, words.end(), has_errexit);
}

/// The commands of a line of shell, cut at what separates them.
std::vector<std::string_view> commands_of(std::string_view text) {
    std::vector<std::string_view> result;
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        if (i == text.size() || std::string_view(";&|\n()").contains(text[i])) {
            result.push_back(text.substr(begin, i - begin));
            begin = i + 1;
        }
    }
    return result;
}

bool is_recursive(std::string_view option) {
    return option == "--recursive" || (option.starts_with('-') && !option.starts_with("--") && option.contains('R'));
}

void add_changes(std::string_view command, std::vector<OwnerChange>& out) {
    const std::vector<std::string_view> words = words_of(command);
    if (words.empty() || (words.front() != "chown" && words.front() != "chgrp" && words.front() != "chmod")) {
        return;
    }
    bool recursive = false;
    std::vector<std::string_view> operands;
    for (auto word = words.begin() + 1; word != words.end(); ++word) {
        if (word->starts_with('-') && *word != "-") {
            recursive = recursive || is_recursive(*word);
        } else {
            operands.push_back(*word);
        }
    }
    // The first operand is the owner or the mode.
    for (std::size_t i = 1; recursive && i < operands.size(); ++i) {
        if (operands[i].find_first_of("$`\"'*?[<>") == std::string_view::npos) {
            out.push_back({std::string(words.front()), std::string(operands[i])});
        }
    }
}

}  // namespace

bool script_ignores_errors(const parser::Run& run, const std::vector<std::string>& shell) {
    if (run.heredocs.size() != 1 || run.command.words.size() != 1 ||
        run.command.form != parser::CommandLine::Form::shell) {
        return false;
    }
    // With more than the heredoc's word, the words say who reads it.
    const std::string_view command = util::trim(run.command.words.front());
    if (!command.starts_with("<<") || command.find_first_of(" \t;&|>") != std::string_view::npos) {
        return false;
    }
    const std::string_view script = run.heredocs.front().text;
    if (script.starts_with("#!")) {
        const std::optional<bool> stops = interpreter_stops(script.substr(0, script.find('\n')));
        return stops == false && has_unguarded_commands(script);
    }
    if (!shell.empty() && (!is_shell(shell.front()) || std::any_of(shell.begin() + 1, shell.end(), has_errexit))) {
        return false;
    }
    return has_unguarded_commands(script);
}

std::vector<OwnerChange> owner_changes(const parser::Run& run) {
    std::vector<OwnerChange> result;
    if (run.command.form != parser::CommandLine::Form::shell) {
        return result;
    }
    for (const std::string& text : run.command.words) {
        for (const std::string_view command : commands_of(text)) {
            add_changes(command, result);
        }
    }
    for (const parser::HeredocFile& heredoc : run.heredocs) {
        for (const std::string_view command : commands_of(heredoc.text)) {
            add_changes(command, result);
        }
    }
    return result;
}

}  // namespace imgbuild::builder
