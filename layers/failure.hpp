// The errors of this room that many files throw. Private to layers/.
#pragma once

#include <imgbuild/error.hpp>

#include <stop_token>
#include <string>

namespace imgbuild::layers {

/// An archive says something impossible or forbidden.
[[noreturn]] inline void bad_archive(std::string message) {
    throw CorruptData({.code = "corrupt.archive", .message = std::move(message), .hint = {}, .where = {}});
}

/// An archive has too much of something.
[[noreturn]] inline void over_limit(std::string message) {
    throw CorruptData({.code = "corrupt.archive-limit", .message = std::move(message), .hint = {}, .where = {}});
}

inline void check_stop(const std::stop_token& stop) {
    if (stop.stop_requested()) throw Cancelled();
}

}  // namespace imgbuild::layers
