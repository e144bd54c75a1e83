// The same work on several things at once.
#pragma once

#include <cstddef>
#include <functional>
#include <stop_token>

namespace imgbuild::builder {

/// Calls `body` for 0 … count-1 on at most `threads` threads (the calling one included) and returns when all are done.
/// The first failure (by number, of those that happened) is thrown; the others are asked to stop through their token.
void in_parallel(std::size_t count, unsigned threads, std::stop_token stop,
                 const std::function<void(std::size_t, std::stop_token)>& body);

}  // namespace imgbuild::builder
