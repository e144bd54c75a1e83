// When to try again, and how long to wait before.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string_view>

namespace imgbuild::registry {

/// Deterministic: 1, 2, 4, 8 s … up to `longest`. No jitter, as one build makes one wave at most, and a schedule that
/// can be told in advance can be tested and explained.
struct RetryPolicy {
    /// Tries in all, the first included.
    int attempts = 5;
    std::chrono::milliseconds first_delay{1000};
    std::chrono::milliseconds longest{30000};
    /// A server's Retry-After is honoured up to this.
    std::chrono::milliseconds longest_retry_after{120000};
};

/// The pause after try number `attempt` (from 1) failed; `retry_after` is what the server asked for.
std::chrono::milliseconds retry_delay(const RetryPolicy& policy, int attempt,
                                      std::optional<std::chrono::seconds> retry_after);

/// Reads a Retry-After header in seconds (the form with a date is rare and counts as absent).
std::optional<std::chrono::seconds> parse_retry_after(std::string_view value);

/// Calls `attempt` until it returns, fails for good (anything but a RegistryError that says Retry::yes), or the
/// policy's tries are used up; the last failure then leaves with a frame that says how often it was tried.
///
/// `progress`, if given, tells how far things are (bytes). A try that brought them further by a megabyte or more counts
/// as a first one: a large download over a bad line ends because it gets nowhere, not because it is large.
void with_retries(const RetryPolicy& policy, std::stop_token stop, const std::function<void()>& attempt,
                  const std::function<std::uint64_t()>& progress = {});

/// Throws Cancelled as soon as `stop` is asked for.
void wait_for(std::chrono::milliseconds duration, std::stop_token stop);

}  // namespace imgbuild::registry
