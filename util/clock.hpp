// The machine's clock, for what is noted and compared; nothing of it may reach a key or an image.
#pragma once

#include <chrono>
#include <cstdint>

namespace imgbuild::util {

/// Nanoseconds since 1970.
inline std::int64_t now_ns() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

}  // namespace imgbuild::util
