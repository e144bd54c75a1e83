// For states that only a bug of ours can reach. Active in every build type.
#pragma once

namespace imgbuild::util {

[[noreturn]] void assertion_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace imgbuild::util

#define IMGBUILD_ASSERT(condition) \
    ((condition) ? static_cast<void>(0) : ::imgbuild::util::assertion_failed(#condition, __FILE__, __LINE__))
