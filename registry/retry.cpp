#include "registry/retry.hpp"

#include <imgbuild/error.hpp>

#include "registry/registry_errors.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

namespace imgbuild::registry {

std::chrono::milliseconds retry_delay(const RetryPolicy& policy, int attempt,
                                      std::optional<std::chrono::seconds> retry_after) {
    std::chrono::milliseconds delay = policy.first_delay;
    for (int i = 1; i < attempt && delay < policy.longest; ++i) delay *= 2;
    delay = std::min(delay, policy.longest);
    if (!retry_after) return delay;
    const auto asked = std::min<std::chrono::milliseconds>(*retry_after, policy.longest_retry_after);
    return std::max(delay, asked);
}

std::optional<std::chrono::seconds> parse_retry_after(std::string_view value) {
    constexpr std::uint64_t kDay = 86400;
    const auto number = util::parse_number(util::trim(value));
    if (!number) return std::nullopt;
    return std::chrono::seconds(std::min(*number, kDay));
}

void with_retries(const RetryPolicy& policy, std::stop_token stop, const std::function<void()>& attempt,
                  const std::function<std::uint64_t()>& progress) {
    constexpr std::uint64_t kWorthATry = 1U << 20;
    std::uint64_t before = 0;
    for (int tries = 1;; ++tries) {
        std::optional<std::chrono::seconds> retry_after;
        try {
            return attempt();
        } catch (RegistryError& error) {
            if (error.retry() == RegistryError::Retry::no) throw;
            if (progress && progress() - before >= kWorthATry) {
                before = progress();
                tries = 1;
            }
            if (tries >= policy.attempts) {
                error.add_frame(fmt::format("giving up after {} tries", tries));
                throw;
            }
            if (const auto* refusal = dynamic_cast<const TransientRefusal*>(&error))
                retry_after = refusal->retry_after();
        }
        wait_for(retry_delay(policy, tries, retry_after), stop);
    }
}

void wait_for(std::chrono::milliseconds duration, std::stop_token stop) {
    std::mutex mutex;
    std::condition_variable_any nobody;
    std::unique_lock lock(mutex);
    nobody.wait_for(lock, stop, duration, [] { return false; });
    if (stop.stop_requested()) throw Cancelled();
}

}  // namespace imgbuild::registry
