#include "cli/exit_code.hpp"

#include "tests/support/catch.hpp"

#include <string>

namespace imgbuild::cli {
namespace {

TEST_CASE("every area of docs/errors.md has the exit code that stands there") {
    const auto [area, expected] = GENERATE(table<std::string, int>({{"build", 1},
                                                                    {"usage", 2},
                                                                    {"parse", 2},
                                                                    {"check", 3},
                                                                    {"verify", 4},
                                                                    {"lock", 5},
                                                                    {"registry", 10},
                                                                    {"source", 11},
                                                                    {"io", 11},
                                                                    {"corrupt", 11},
                                                                    {"layers", 11},
                                                                    {"store", 11},
                                                                    {"machine", 12},
                                                                    {"internal", 100},
                                                                    {"sandbox", 100},
                                                                    {"resources", 102},
                                                                    {"cancelled", 130}}));
    INFO(area);
    CHECK(exit_code(area + ".some-code") == expected);
}

TEST_CASE("a code of no known area is a bug of ours") {
    CHECK(exit_code("nonsense.code") == kInternal);
    CHECK(exit_code("") == kInternal);
    CHECK(exit_code("builder.code") == kInternal);
}

}  // namespace
}  // namespace imgbuild::cli
