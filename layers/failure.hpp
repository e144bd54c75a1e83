// The errors of this room that many files throw. Private to layers/.
#pragma once

#include <imgbuild/error.hpp>

#include <fmt/format.h>

#include <stop_token>
#include <string>
#include <string_view>

namespace imgbuild::layers {

/// An archive says something impossible or forbidden.
[[noreturn]] inline void bad_archive(std::string message) {
    throw CorruptData({.code = "corrupt.archive", .message = std::move(message), .hint = {}, .where = {}});
}

/// An archive has too much of something.
[[noreturn]] inline void over_limit(std::string message) {
    throw CorruptData({.code = "corrupt.archive-limit", .message = std::move(message), .hint = {}, .where = {}});
}

/// `kind` of compression, and what is wrong with the bytes.
[[noreturn]] inline void damaged_data(std::string_view kind, std::string_view how) {
    throw CorruptData({.code = "corrupt.compressed",
                       .message = fmt::format("damaged {} data: {}", kind, how),
                       .hint = {},
                       .where = {}});
}

/// A plain blob is not the tar of the layer's names.
[[noreturn]] inline void bad_layer_tar(std::string_view what) {
    throw CorruptData({.code = "corrupt.tar",
                       .message = fmt::format("the blob of a layer does not fit its names: {}", what),
                       .hint = "something changed the store; `imgbuild fsck --repair` and build again",
                       .where = {}});
}

inline void check_stop(const std::stop_token& stop) {
    if (stop.stop_requested()) throw Cancelled();
}

}  // namespace imgbuild::layers
