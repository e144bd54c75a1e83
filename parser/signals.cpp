#include "parser/reject.hpp"
#include "parser/values.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace imgbuild::parser {
namespace {

struct Signal {
    std::string_view name;
    int number;
};

// Numbers of Linux on every architecture that containers run on but MIPS; images carry names or these numbers.
constexpr std::array<Signal, 36> kSignals = {
    {{"ABRT", 6},    {"ALRM", 14},   {"BUS", 7},   {"CHLD", 17}, {"CLD", 17},   {"CONT", 18},
     {"FPE", 8},     {"HUP", 1},     {"ILL", 4},   {"INT", 2},   {"IO", 29},    {"IOT", 6},
     {"KILL", 9},    {"PIPE", 13},   {"POLL", 29}, {"PROF", 27}, {"PWR", 30},   {"QUIT", 3},
     {"SEGV", 11},   {"STKFLT", 16}, {"STOP", 19}, {"SYS", 31},  {"TERM", 15},  {"TRAP", 5},
     {"TSTP", 20},   {"TTIN", 21},   {"TTOU", 22}, {"URG", 23},  {"USR1", 10},  {"USR2", 12},
     {"VTALRM", 26}, {"WINCH", 28},  {"XCPU", 24}, {"XFSZ", 25}, {"RTMIN", 34}, {"RTMAX", 64}}};
constexpr int kFirstRealtime = 34;
constexpr int kLastSignal = 64;

/// "RTMIN+3", "RTMAX-2".
std::optional<int> realtime_signal(std::string_view name) {
    const bool from_first = name.starts_with("RTMIN+");
    if (!from_first && !name.starts_with("RTMAX-")) {
        return std::nullopt;
    }
    const std::optional<std::uint64_t> distance = util::parse_number(name.substr(6));
    if (!distance || *distance > kLastSignal - kFirstRealtime) {
        return std::nullopt;
    }
    const int steps = static_cast<int>(*distance);
    return from_first ? kFirstRealtime + steps : kLastSignal - steps;
}

}  // namespace

int parse_signal(std::string_view text) {
    if (const std::optional<std::uint64_t> number = util::parse_number(text);
        number && *number > 0 && *number <= kLastSignal) {
        return static_cast<int>(*number);
    }
    const std::string upper = util::to_upper(text);
    const std::string_view name = std::string_view(upper).substr(upper.starts_with("SIG") ? 3 : 0);
    const auto found =
        std::find_if(kSignals.begin(), kSignals.end(), [name](const Signal& s) { return s.name == name; });
    if (found != kSignals.end()) {
        return found->number;
    }
    if (const std::optional<int> realtime = realtime_signal(name)) {
        return *realtime;
    }
    reject("parse.bad-value", fmt::format("invalid signal {}", util::quote(text)),
           "write a name such as SIGTERM, or a number from 1 to 64");
}

}  // namespace imgbuild::parser
