#include "util/fd.hpp"

#include "tests/support/catch.hpp"
