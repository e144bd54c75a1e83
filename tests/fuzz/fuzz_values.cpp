// The small languages inside arguments: mounts, ports, durations, sizes, modes, owners, signals, wildcards, names of
// git repositories, and the directives of files for other frontends.
#include "tests/fuzz/fuzz.hpp"

#include "parser/ast.hpp"
#include "parser/git_reference.hpp"
#include "parser/glob.hpp"
#include "parser/mount.hpp"
#include "parser/values.hpp"
#include "util/assert.hpp"

namespace {

using imgbuild::fuzz::attempt;
namespace parser = imgbuild::parser;

void read_values(std::string_view text) {
    attempt([&] { parser::parse_ports(text); });
    attempt([&] { parser::parse_duration(text); });
    attempt([&] { parser::parse_size(text); });
    attempt([&] { parser::parse_owner(text); });
    attempt([&] { parser::parse_signal(text); });
    attempt([&] { IMGBUILD_ASSERT(parser::FileMode::parse(text).apply(0644, false) <= 07777); });
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = imgbuild::fuzz::text_of(data, size);
    read_values(text);
    attempt([&] { parser::match_glob(text, "a/b.c"); });
    attempt([&] {
        const auto git = parser::parse_git_reference(text);
        IMGBUILD_ASSERT(!git || text.contains('?') || !git->subdirectory.starts_with("../"));
    });
    attempt([&] {
        const parser::WordExpander expander(parser::environment_of({{"a", "x"}}));
        parser::resolve_mount(parser::parse_mount_flag(text, {}), expander);
    });
    parser::find_directive_in_any(text, "syntax");
    return 0;
}
