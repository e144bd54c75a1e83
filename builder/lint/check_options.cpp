#include "builder/lint/check_options.hpp"

#include <imgbuild/error.hpp>

#include "parser/directives.hpp"
#include "parser/reject.hpp"
#include "parser/values.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::builder {
namespace {

[[noreturn]] void reject_option(std::string_view option) {
    parser::reject("parse.bad-check",
                   fmt::format("failed to parse check options: invalid check option \"{}\"", parser::shown(option)),
                   "write # check=skip=RULE,RULE;error=true");
}

void read_names(std::string_view value, bool& all, std::set<std::string, std::less<>>& names) {
    if (value == "all") {
        all = true;
        return;
    }
    for (const std::string_view name : util::split(value, ',')) {
        names.emplace(util::trim(name));
    }
}

}  // namespace

CheckOptions CheckOptions::parse(std::string_view text) {
    CheckOptions result;
    text = text.substr(0, text.find_first_of(" \t"));
    if (text.empty()) {
        return result;
    }
    for (const std::string_view option : util::split(text, ';')) {
        const std::size_t equals = option.find('=');
        if (equals == std::string_view::npos) {
            reject_option(option);
        }
        const std::string_view name = util::trim(option.substr(0, equals));
        const std::string_view value = util::trim(option.substr(equals + 1));
        if (name == "skip") {
            read_names(value, result.skip_all, result.skip);
        } else if (name == "experimental") {
            read_names(value, result.experimental_all, result.experimental);
        } else if (const std::optional<bool> on = parser::parse_bool(value); name == "error" && on) {
            result.error = *on;
        } else {
            reject_option(name == "error" ? option : name);
        }
    }
    return result;
}

CheckOptions CheckOptions::with_comment(const std::vector<std::string>& comment) const {
    CheckOptions result = *this;
    for (const std::string& value : check_values(comment)) {
        try {
            const CheckOptions added = parse(value);
            result.skip_all = result.skip_all || added.skip_all;
            result.experimental_all = result.experimental_all || added.experimental_all;
            result.skip.insert(added.skip.begin(), added.skip.end());
            result.experimental.insert(added.experimental.begin(), added.experimental.end());
        } catch (const Error&) {
            // A comment is no instruction; UnknownCheck tells of it.
        }
    }
    return result;
}

bool CheckOptions::wants(const Rule& rule) const {
    if (rule.experimental) {
        return experimental_all || experimental.contains(rule.name);
    }
    return !skip_all && !skip.contains(rule.name);
}

std::vector<std::string> CheckOptions::unknown_names() const {
    std::vector<std::string> result;
    for (const auto* const names : {&skip, &experimental}) {
        for (const std::string& name : *names) {
            if (find_rule(name) == nullptr) {
                result.push_back(name);
            }
        }
    }
    return result;
}

std::vector<std::string> check_values(const std::vector<std::string>& comment) {
    std::vector<std::string> result;
    for (const std::string& line : comment) {
        const std::optional<parser::Directive> directive = parser::match_directive(line, "");
        if (directive && directive->name == "check") {
            result.push_back(directive->value);
        }
    }
    return result;
}

}  // namespace imgbuild::builder
