// What the fuzz targets share. A target is one function; only imgbuild::Error may leave what it tries.
#pragma once

#include <imgbuild/error.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace imgbuild::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

/// Runs `body`; refusing the input with an Error is fine.
void attempt(auto&& body) {
    try {
        body();
    } catch (const Error&) {
        // The input is refused: that is the parser's right.
    }
}

}  // namespace imgbuild::fuzz
