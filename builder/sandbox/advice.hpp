// What a machine lacks, what follows from it, and what would help: the one place that has these words. The errors of a
// build (require_steps(), enter_worker()) and the report of `imgbuild doctor` are both made of them.
//
// All of it is a pure function of the facts (host_facts.hpp), so that the report for any machine can be looked at on
// any other (goldens in testdata/doctor/).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "builder/sandbox/host_facts.hpp"
#include "builder/sandbox/user_facts.hpp"

namespace imgbuild::sandbox {

/// Something without which no step runs.
struct Lack {
    /// "machine.…"
    std::string code;
    std::string message;
    /// What to do, as a command where there is one.
    std::string hint;
};

/// As Error, exit code 12.
[[noreturn]] void throw_lack(Lack lack);

/// `file` is /etc/subuid or /etc/subgid.
Lack no_subordinate_ids(const UserFacts& user, std::string_view file);
/// `program` is newuidmap or newgidmap.
Lack no_map_program(std::string_view program);
/// `said` is what the program had to say.
Lack map_program_failed(const UserFacts& user, std::string_view said);
/// Uses namespace_error and the settings that may be its reason.
Lack no_user_namespaces(const UserFacts& user);

/// Why there is neither kind of overlay.
Lack no_overlay(const HostFacts& facts);

enum class Grade {
    /// As good as it gets.
    good,
    /// Builds work, with the consequence that is told.
    limited,
    /// Steps cannot run.
    missing,
    /// Could not be asked, because something else is missing.
    unknown,
};

/// One line of the report.
struct Answer {
    std::string question;
    std::string answer;
    Grade grade = Grade::good;
    /// Empty if there is none that a user would notice.
    std::string consequence;
    /// What would improve it; empty if nothing would.
    std::string remedy;
    /// Of the error that a build ends with, where something is missing.
    std::string code;

    friend bool operator==(const Answer&, const Answer&) = default;
};

/// Every question of DESIGN 5's table that this version asks, in fixed order.
std::vector<Answer> examine(const HostFacts& facts);

/// No answer is Grade::missing.
bool can_build(const std::vector<Answer>& answers);

/// For people, and for programs: an object with "canBuild", "answers" and "facts".
std::string render_text(const HostFacts& facts);
std::string render_json(const HostFacts& facts);

}  // namespace imgbuild::sandbox
