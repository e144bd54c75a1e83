// Messages as lines of JSON. Pure; docs/worker-protocol.md has the words, goldens lie in testdata/worker/.
#pragma once

#include "builder/worker/messages.hpp"

#include <string>
#include <string_view>

namespace imgbuild::worker {

/// Longest line that is read, in bytes: a build file of 16 MiB, each byte of it escaped.
inline constexpr std::size_t kMaxLine = std::size_t{128} << 20;

/// Without the newline, which no line holds.
std::string encode(const FromHost& message);
std::string encode(const FromWorker& message);

/// Throws CorruptData ("worker.bad-message") that names the member; UsageError for a reference that is none.
FromHost decode_from_host(std::string_view line);
FromWorker decode_from_worker(std::string_view line);

}  // namespace imgbuild::worker
