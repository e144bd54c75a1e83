#include "util/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace imgbuild::util {

void assertion_failed(const char* condition, const char* file, int line) noexcept {
    std::fprintf(stderr, "imgbuild: bug: %s does not hold (%s:%d)\n", condition, file, line);
    std::abort();
}

}  // namespace imgbuild::util
