#include "layers/task_batches.hpp"

#include "tests/support/catch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using namespace imgbuild::layers;

namespace {

std::string group_of(int i) {
    return fmt::format("g{}", i / 7);
}

}  // namespace

TEST_CASE("all tasks are carried out, those of a batch in order") {
    const unsigned threads = GENERATE(0U, 1U, 2U, 8U, 1000U);
    CAPTURE(threads);
    constexpr int kTasks = 3000;
    std::vector<std::vector<int>> seen(kTasks / 7 + 1);
    TaskBatches batches(threads);
    for (int i = 0; i < kTasks; ++i)
        batches.add(group_of(i), 1, [&seen, i] { seen.at(static_cast<std::size_t>(i / 7)).push_back(i); });
    batches.wait_for_all();
    int next = 0;
    for (const std::vector<int>& group : seen) {
        for (const int i : group) CHECK(i == next++);
    }
    CHECK(next == kTasks);
}

TEST_CASE("who waits for a batch finds it and all before it carried out") {
    const unsigned threads = GENERATE(1U, 2U, 8U);
    CAPTURE(threads);
    std::vector<std::atomic<bool>> done(500);
    std::vector<TaskBatches::Number> numbers;
    TaskBatches batches(threads);
    for (int i = 0; i < 500; ++i) {
        numbers.push_back(batches.add(group_of(i), 5, [&done, i] { done.at(static_cast<std::size_t>(i)) = true; }));
        if (i % 50 != 49) continue;
        const int asked = i - 20;
        batches.wait_for(numbers.at(static_cast<std::size_t>(asked)));
        CHECK(std::all_of(done.begin(), done.begin() + asked + 1, [](const auto& one) { return one.load(); }));
    }
    batches.wait_for_all();
    CHECK(std::all_of(done.begin(), done.end(), [](const auto& one) { return one.load(); }));
}

TEST_CASE("the failure that is thrown is the earliest, and everything before it has been done") {
    const unsigned threads = GENERATE(1U, 2U, 8U);
    const int first = GENERATE(0, 6, 7, 350, 999);
    CAPTURE(threads, first);
    const std::set<int> failing = {first, first + 1, first + 9, first + 40, 999};
    std::atomic<int> before = 0;
    std::atomic<int> after = 0;
    int seen_after = 0;
    {
        TaskBatches batches(threads);
        const auto give_all = [&] {
            for (int i = 0; i < 10'000; ++i) {
                batches.add(group_of(i), 1, [&, i] {
                    if (failing.contains(i)) throw std::runtime_error(fmt::to_string(i));
                    ++(i < first ? before : after);
                });
            }
            batches.wait_for_all();
        };
        CHECK_THROWS_WITH(give_all(), fmt::to_string(first));
        seen_after = after;
    }
    CHECK(before == first);
    CHECK(after == seen_after);
}

TEST_CASE("a failure is thrown by all that comes later") {
    TaskBatches batches(2);
    batches.add("g", 1, [] { throw std::runtime_error("broken"); });
    CHECK_THROWS_WITH(batches.wait_for_all(), "broken");
    CHECK_THROWS_WITH(batches.wait_for_all(), "broken");
}

TEST_CASE("tasks that nobody waited for are dropped unless they have begun") {
    const unsigned threads = GENERATE(2U, 8U);
    CAPTURE(threads);
    std::atomic<int> under_way = 0;
    std::atomic<int> begun = 0;
    // The last group is not even full when the batches go.
    {
        TaskBatches batches(threads);
        for (int i = 0; i < 400; ++i) {
            batches.add(group_of(i), 1, [&] {
                ++under_way;
                ++begun;
                std::this_thread::yield();
                --under_way;
            });
        }
    }
    CHECK(under_way == 0);
    CHECK(begun < 400);
}
