#include "builder/parallel.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

#include <atomic>
#include <latch>
#include <mutex>
#include <set>
#include <thread>

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

Error failure(const std::string& code) {
    return Error({.code = code, .message = "it failed", .hint = {}, .where = {}});
}

}  // namespace

TEST_CASE("every number is worked on once") {
    const auto threads = GENERATE(1U, 2U, 7U, 100U);
    std::mutex mutex;
    std::multiset<std::size_t> seen;
    in_parallel(20, threads, {}, [&](std::size_t i, const std::stop_token&) {
        const std::lock_guard lock(mutex);
        seen.insert(i);
    });
    CHECK(seen.size() == 20);
    CHECK(std::set<std::size_t>(seen.begin(), seen.end()).size() == 20);
}

TEST_CASE("nothing to do is done at once") {
    CHECK_NOTHROW(in_parallel(0, 4, {}, [](std::size_t, const std::stop_token&) { FAIL("there is no work"); }));
}

TEST_CASE("as many are worked on at once as there are threads") {
    std::latch all_here(4);
    in_parallel(4, 4, {}, [&](std::size_t, const std::stop_token&) { all_here.arrive_and_wait(); });
    CHECK(all_here.try_wait());
}

TEST_CASE("of several failures the first by number is thrown") {
    std::latch both(2);
    const auto code = test::error_code([&] {
        in_parallel(2, 2, {}, [&](std::size_t i, const std::stop_token&) {
            both.arrive_and_wait();
            throw failure(i == 0 ? "test.first" : "test.second");
        });
    });
    CHECK(code == "test.first");
}

TEST_CASE("a failure stops the others, and is told in place of their being stopped") {
    std::latch both(2);
    const auto code = test::error_code([&] {
        in_parallel(2, 2, {}, [&](std::size_t i, const std::stop_token& stop) {
            both.arrive_and_wait();
            if (i == 1) throw failure("test.broken");
            while (!stop.stop_requested()) std::this_thread::yield();
            throw Cancelled();
        });
    });
    CHECK(code == "test.broken");
}

TEST_CASE("work that was stopped from outside ends as cancelled") {
    std::stop_source stop;
    std::atomic<int> calls{0};
    const auto body = [&](std::size_t, const std::stop_token&) {
        ++calls;
        stop.request_stop();
    };
    CHECK_THROWS_AS(in_parallel(10, 1, stop.get_token(), body), Cancelled);
    CHECK(calls == 1);
}
