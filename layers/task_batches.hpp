// Tasks that a few threads carry out while the thread that gives them goes on. Private to layers/.
//
// The tasks need nothing of each other. Those of one group that are given one after the other lie in one batch, which
// one thread carries out in order: files of one directory, since the kernel lets one thread at a time make a name in
// it. Batches begin in the order in which they were given, and the giver carries some out itself whenever it would have
// to wait. What comes of it is what one thread would have made of it: the failure that is thrown is the earliest one,
// and what comes after is not begun any more once it is known.
//
//     TaskBatches batches(threads);
//     for (const File& file : files) batches.add(file.directory, 1, [&] { make(file); });
//     batches.wait_for_all();
//
// All members are for one thread, the giver.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace imgbuild::layers {

class TaskBatches {
public:
    using Task = std::function<void()>;
    /// Of a batch, in the order of their beginnings, from 1 on; 0 is one that has been carried out.
    using Number = std::uint64_t;

    /// Up to `threads` of them, the giver among them; they are started when there is enough to do. With one (or none)
    /// add() carries the task out.
    explicit TaskBatches(unsigned threads);
    /// Drops what has not begun, and waits for what has.
    ~TaskBatches();
    TaskBatches(const TaskBatches&) = delete;
    TaskBatches& operator=(const TaskBatches&) = delete;

    /// `weight` is what the task costs, where a small file is 1. Returns what to wait for. This and all below throw
    /// what the earliest failed task has thrown; nothing runs any more then.
    Number add(std::string_view group, std::uint64_t weight, Task task);
    /// Until this batch and all before it have been carried out.
    void wait_for(Number batch);
    void wait_for_all() { wait_for(count_); }

private:
    static constexpr Number kNone = std::numeric_limits<Number>::max();

    struct Batch {
        Number number = 0;
        std::string group;
        std::uint64_t weight = 0;
        std::vector<Task> tasks;
    };
    void submit();
    void help();
    bool is_full() const;
    Number oldest() const;
    void run_first(std::unique_lock<std::mutex>& lock);
    std::exception_ptr run(const Batch& batch) const noexcept;
    [[noreturn]] void throw_failure(std::unique_lock<std::mutex>& lock);

    unsigned threads_;
    // The giver's.
    Batch open_;
    Number count_ = 0;
    std::vector<std::jthread> helpers_;
    /// No task of a later batch is begun.
    std::atomic<Number> last_ = kNone;
    // Under the lock.
    std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable done_;
    std::deque<Batch> queue_;
    std::uint64_t queued_weight_ = 0;
    std::set<Number> running_;
    unsigned idle_ = 0;
    std::exception_ptr failure_;
    bool closing_ = false;
};

}  // namespace imgbuild::layers
