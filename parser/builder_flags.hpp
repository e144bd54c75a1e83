// Flags of instructions: "COPY --from=build --link a b".
#pragma once

#include "parser/ast.hpp"
#include "parser/instructions.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::parser {

/// Takes leading "--…" words out of the bytes [begin, end) of the line, with quotes and escapes removed, up to the
/// first other word or "--". Returns where the rest begins.
std::size_t read_builder_flags(const LogicalLine& line, std::size_t begin, std::size_t end, char escape,
                               std::vector<Flag>& out);

/// The flags of one instruction, asked for by name. The constructor refuses what the instruction does not have;
/// every ask refuses what is wrong with the value. All throw Error with codes "parse.unknown-flag",
/// "parse.duplicate-flag", "parse.missing-value", "parse.bad-flag-value".
class FlagSet {
public:
    /// What an instruction has. A boolean flag may stand without a value; a list flag may stand several times.
    enum class Kind { text, boolean, list };
    struct Known {
        std::string_view name;
        Kind kind;
    };

    FlagSet(const Node& node, std::vector<Known> known);

    /// Absent if it is not written, or written with an empty value ("--from=").
    std::optional<Word> text(std::string_view name) const;
    std::vector<Word> list(std::string_view name) const;
    /// Absent if it is not written.
    std::optional<bool> boolean(std::string_view name) const;
    /// Names as they are written, each once.
    std::vector<std::string> used() const;

private:
    struct Given {
        std::string_view name;
        Word value;
        bool has_value;
    };
    void add(const Node& node, const Flag& flag);
    const Given* find(std::string_view name) const;

    std::vector<Known> known_;
    std::vector<Given> given_;
};

}  // namespace imgbuild::parser
