#include "parser/reject.hpp"
#include "parser/values.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::parser {
namespace {

constexpr std::uint32_t kAll = 07777;
constexpr std::uint32_t kUser = 04700;
constexpr std::uint32_t kGroup = 02070;
constexpr std::uint32_t kOthers = 01007;
constexpr std::uint32_t kExecute = 0111;

}  // namespace

/// Reads the clauses of a symbolic mode, one after the other.
class ModeParser {
public:
    explicit ModeParser(std::string_view text) : whole_(text), rest_(text) {}

    std::vector<FileMode::Action> parse() {
        std::vector<FileMode::Action> actions;
        do {
            const std::uint32_t who = take_who();
            do {
                actions.push_back(take_action(who));
            } while (is_operator());
        } while (take(','));
        if (!rest_.empty()) {
            reject_mode();
        }
        return actions;
    }

    [[noreturn]] void reject_mode() const {
        reject("parse.bad-value", fmt::format("invalid mode {}", util::quote(whole_)),
               "write an octal number up to 07777, or clauses such as u=rwX,go=rX");
    }

private:
    bool take(char wanted) {
        if (!rest_.starts_with(wanted)) {
            return false;
        }
        rest_.remove_prefix(1);
        return true;
    }

    bool is_operator() const { return !rest_.empty() && std::string_view("+-=").contains(rest_.front()); }

    std::uint32_t take_who() {
        std::uint32_t who = 0;
        for (bool more = true; more;) {
            more = false;
            for (const auto& [letter, bits] :
                 {std::pair('u', kUser), std::pair('g', kGroup), std::pair('o', kOthers), std::pair('a', kAll)}) {
                if (take(letter)) {
                    who |= bits;
                    more = true;
                }
            }
        }
        return who == 0 ? kAll : who;
    }

    FileMode::Action take_action(std::uint32_t who) {
        if (!is_operator()) {
            reject_mode();
        }
        FileMode::Action action{who, rest_.front(), 0, false, 0};
        rest_.remove_prefix(1);
        for (const char source : {'u', 'g', 'o'}) {
            if (take(source)) {
                action.copy_from = source;
                return action;
            }
        }
        take_permissions(action);
        return action;
    }

    void take_permissions(FileMode::Action& action) {
        while (!rest_.empty() && !is_operator() && rest_.front() != ',') {
            switch (rest_.front()) {
                case 'r':
                    action.bits |= 0444;
                    break;
                case 'w':
                    action.bits |= 0222;
                    break;
                case 'x':
                    action.bits |= kExecute;
                    break;
                case 'X':
                    action.conditional_x = true;
                    break;
                case 's':
                    action.bits |= 06000;
                    break;
                case 't':
                    action.bits |= 01000;
                    break;
                default:
                    reject_mode();
            }
            rest_.remove_prefix(1);
        }
    }

    std::string_view whole_;
    std::string_view rest_;
};

FileMode FileMode::parse(std::string_view text) {
    FileMode mode;
    if (text.empty()) {
        ModeParser(text).reject_mode();
    }
    if (text.find_first_not_of("01234567") != std::string_view::npos) {
        mode.actions_ = ModeParser(text).parse();
        return mode;
    }
    std::uint32_t number = 0;
    for (const char c : text) {
        number = number * 8 + static_cast<std::uint32_t>(c - '0');
        if (number > kAll) {
            ModeParser(text).reject_mode();
        }
    }
    mode.absolute_ = number;
    return mode;
}

std::uint32_t FileMode::apply(std::uint32_t mode, bool is_directory) const {
    if (absolute_) {
        return *absolute_;
    }
    mode &= kAll;
    for (const Action& action : actions_) {
        std::uint32_t bits = action.bits;
        if (action.copy_from != 0) {
            const std::uint32_t shift = action.copy_from == 'u' ? 6 : action.copy_from == 'g' ? 3 : 0;
            bits = ((mode >> shift) & 7U) * 0111U;
        }
        if (action.conditional_x && (is_directory || (mode & kExecute) != 0)) {
            bits |= kExecute;
        }
        bits &= action.who;
        if (action.op == '+') {
            mode |= bits;
        } else if (action.op == '-') {
            mode &= ~bits;
        } else {
            mode = (mode & ~action.who) | bits;
        }
    }
    return mode;
}

}  // namespace imgbuild::parser
