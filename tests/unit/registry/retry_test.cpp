#include "registry/retry.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

#include <thread>

namespace imgbuild::registry {
namespace {

using namespace std::chrono_literals;

TEST_CASE("the pauses double up to the longest") {
    const RetryPolicy policy{.longest = 5s};
    CHECK(retry_delay(policy, 1, {}) == 1s);
    CHECK(retry_delay(policy, 2, {}) == 2s);
    CHECK(retry_delay(policy, 3, {}) == 4s);
    CHECK(retry_delay(policy, 4, {}) == 5s);
    CHECK(retry_delay(policy, 1000000, {}) == 5s);
}

TEST_CASE("Retry-After lengthens a pause, within bounds, and never shortens it") {
    const RetryPolicy policy;
    CHECK(retry_delay(policy, 1, 10s) == 10s);
    CHECK(retry_delay(policy, 3, 1s) == 4s);
    CHECK(retry_delay(policy, 1, 86400s) == policy.longest_retry_after);
}

TEST_CASE("Retry-After is read in seconds") {
    CHECK(parse_retry_after(" 12 ") == 12s);
    CHECK(parse_retry_after("99999999999999999") == 86400s);
    CHECK_FALSE(parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT"));
    CHECK_FALSE(parse_retry_after("-1"));
}

TEST_CASE("tries that bring a transfer further do not count, those that hardly do are bounded") {
    const RetryPolicy policy{.attempts = 3, .first_delay = 1ms, .longest = 1ms};
    const std::uint64_t step = GENERATE(1U << 20, 1000U);
    std::uint64_t done = 0;
    int tries = 0;
    const auto attempt = [&] {
        ++tries;
        done += step;
        if (done >= 20U << 20) return;
        throw RegistryError({.code = "registry.connection-broken", .message = "x", .hint = {}, .where = {}}, 0,
                            RegistryError::Retry::yes);
    };
    if (step > 1000) {
        with_retries(policy, {}, attempt, [&] { return done; });
        CHECK(tries == 20);
    } else {
        CHECK_THROWS_AS(with_retries(policy, {}, attempt, [&] { return done; }), RegistryError);
        CHECK(tries == 3);
    }
}

TEST_CASE("a pause ends at once when somebody asks to stop") {
    std::stop_source stop;
    const std::jthread stopper([&] { stop.request_stop(); });
    const auto begin = std::chrono::steady_clock::now();
    CHECK_THROWS_AS(wait_for(1h, stop.get_token()), Cancelled);
    CHECK(std::chrono::steady_clock::now() - begin < 10s);
}

}  // namespace
}  // namespace imgbuild::registry
