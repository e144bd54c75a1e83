// The report of `imgbuild doctor` as text and as JSON.
#include "builder/sandbox/advice.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace imgbuild::sandbox {
namespace {

constexpr std::size_t kWidth = 110;
constexpr std::size_t kIndent = 11;

const char* name_of(Grade grade) {
    switch (grade) {
        case Grade::good:
            return "ok";
        case Grade::limited:
            return "limited";
        case Grade::missing:
            return "missing";
        case Grade::unknown:
            return "unknown";
    }
    return "unknown";
}

/// Lines of at most kWidth characters, broken at blanks, with `first` before the first one.
std::string wrapped(std::string_view first, std::string_view text) {
    std::string out;
    std::string line(first);
    const std::size_t indent = std::max(kIndent, first.size());
    line.resize(indent, ' ');
    std::size_t words = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(' ', at), text.size());
        const std::string_view word = text.substr(at, end - at);
        if (words > 0 && line.size() + 1 + word.size() > kWidth) {
            out += line + "\n";
            line.assign(indent, ' ');
            words = 0;
        }
        if (words++ > 0) line += ' ';
        line += word;
        at = end + 1;
    }
    return out + line + "\n";
}

}  // namespace

std::string render_text(const HostFacts& facts) {
    const std::vector<Answer> answers = examine(facts);
    std::string out = can_build(answers) ? "imgbuild can build here.\n\n" : "imgbuild cannot build here yet.\n\n";
    for (const Answer& answer : answers) {
        out +=
            wrapped(fmt::format("{:<9}", name_of(answer.grade)), fmt::format("{}: {}", answer.question, answer.answer));
        if (!answer.consequence.empty()) out += wrapped("             so: ", answer.consequence);
        if (!answer.remedy.empty()) out += wrapped("             try: ", answer.remedy);
    }
    return out;
}

std::string render_json(const HostFacts& facts) {
    const std::vector<Answer> answers = examine(facts);
    nlohmann::ordered_json out;
    out["canBuild"] = can_build(answers);
    for (const Answer& answer : answers) {
        nlohmann::ordered_json json;
        json["question"] = answer.question;
        json["answer"] = answer.answer;
        json["grade"] = name_of(answer.grade);
        json["consequence"] = answer.consequence;
        json["remedy"] = answer.remedy;
        json["code"] = answer.code;
        out["answers"].push_back(std::move(json));
    }
    out["facts"] = nlohmann::ordered_json::parse(to_json(facts));
    return out.dump(2) + "\n";
}

}  // namespace imgbuild::sandbox
