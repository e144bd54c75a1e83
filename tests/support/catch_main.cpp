#define CATCH_CONFIG_MAIN
#include "tests/support/catch.hpp"

#include <csignal>

namespace {

// As the program does: who writes to somebody that has gone gets an error.
[[maybe_unused]] const auto kBefore = std::signal(SIGPIPE, SIG_IGN);

}  // namespace
