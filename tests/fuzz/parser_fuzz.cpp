// Everything that reads text of a user: nothing but Error may come out of it, in bounded time.

#include <imgbuild/error.hpp>

#include "parser/expand.hpp"
#include "parser/file.hpp"
#include "parser/glob.hpp"
#include "parser/ignore.hpp"
#include "parser/mount.hpp"
#include "parser/values.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace {

using namespace imgbuild;
using namespace imgbuild::parser;

template <class Body>
void only_errors(const Body& body) {
    try {
        body();
    } catch (const Error&) {
        // Refusing is fine.
    }
}

void read_words(const std::string& text) {
    const WordExpander expander(environment_of({{"A", "a/b.c"}, {"E", ""}}));
    only_errors([&] { expander.expand_words(text); });
    only_errors([&] { expander.expand_text(text); });
    only_errors([&] { resolve_mount(parse_mount_flag(text, {}), expander); });
}

void read_values(const std::string& text) {
    only_errors([&] { parse_ports(text); });
    only_errors([&] { parse_duration(text); });
    only_errors([&] { parse_size(text); });
    only_errors([&] { parse_owner(text); });
    only_errors([&] { parse_signal(text); });
    only_errors([&] { FileMode::parse(text).apply(0644, false); });
}

void read_patterns(const std::string& text) {
    only_errors([&] { match_glob(text, "a/b.c"); });
    only_errors([&] {
        const IgnoreMatcher matcher(read_ignore_file(text));
        matcher.excluded("a/b.c");
        matcher.can_skip("a");
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(data, data + size);
    parse_file(std::make_shared<const SourceFile>(SourceFile{"Buildfile", text}));
    find_directive_in_any(text, "syntax");
    read_words(text);
    read_values(text);
    read_patterns(text);
    return 0;
}
