#include "layers/task_batches.hpp"

#include <algorithm>
#include <utility>

namespace imgbuild::layers {
namespace {

// More than that gain nothing against the locks of one file system's journal.
constexpr unsigned kMaxThreads = 8;
// So that most directories are one batch, and the threads seldom meet in one.
constexpr std::uint64_t kFullBatch = 128;
constexpr std::uint64_t kMaxQueuedWeight = 4 * kFullBatch;
// Each may hold a descriptor.
constexpr std::size_t kMaxQueued = 32;
// Starting a thread takes as long as making a file or two.
constexpr std::uint64_t kWorthAThread = 16;

}  // namespace

TaskBatches::TaskBatches(unsigned threads) : threads_(std::clamp(threads, 1U, kMaxThreads)) {}

TaskBatches::~TaskBatches() {
    last_ = 0;
    {
        const std::lock_guard lock(mutex_);
        closing_ = true;
    }
    work_.notify_all();
    helpers_.clear();
}

TaskBatches::Number TaskBatches::add(std::string_view group, std::uint64_t weight, Task task) {
    if (threads_ == 1) {
        task();
        return 0;
    }
    if (open_.group != group || open_.weight >= kFullBatch) submit();
    if (open_.tasks.empty()) {
        open_.number = ++count_;
        open_.group = group;
    }
    open_.tasks.push_back(std::move(task));
    open_.weight += weight;
    return open_.number;
}

void TaskBatches::wait_for(Number batch) {
    if (open_.number <= batch) submit();
    std::unique_lock lock(mutex_);
    while (!failure_ && oldest() <= batch) {
        if (!queue_.empty() && queue_.front().number <= batch) {
            run_first(lock);
        } else {
            done_.wait(lock);
        }
    }
    if (failure_) throw_failure(lock);
}

void TaskBatches::submit() {
    if (open_.tasks.empty()) return;
    std::unique_lock lock(mutex_);
    if (failure_) throw_failure(lock);
    queued_weight_ += open_.weight;
    queue_.push_back(std::exchange(open_, {}));
    if (idle_ > 0) {
        work_.notify_one();
    } else if (helpers_.size() + 1 < threads_ && queued_weight_ >= kWorthAThread) {
        helpers_.emplace_back([this] { help(); });
    }
    while (is_full()) run_first(lock);
    if (failure_) throw_failure(lock);
}

void TaskBatches::help() {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        work_.wait(lock, [this] { return closing_ || !queue_.empty(); });
        --idle_;
        if (closing_) return;
        run_first(lock);
    }
}

bool TaskBatches::is_full() const {
    return queue_.size() > kMaxQueued || queued_weight_ > kMaxQueuedWeight;
}

TaskBatches::Number TaskBatches::oldest() const {
    if (!running_.empty()) return *running_.begin();
    return queue_.empty() ? kNone : queue_.front().number;
}

void TaskBatches::run_first(std::unique_lock<std::mutex>& lock) {
    Batch batch = std::move(queue_.front());
    queue_.pop_front();
    queued_weight_ -= batch.weight;
    running_.insert(batch.number);
    lock.unlock();
    const std::exception_ptr failure = run(batch);
    batch.tasks.clear();  // not under the lock
    lock.lock();
    running_.erase(batch.number);
    // All earlier batches have begun and will end, so an earlier failure can still come, from one of these.
    if (failure && batch.number <= last_) {
        last_ = batch.number;
        failure_ = failure;
        queue_.clear();
        queued_weight_ = 0;
    }
    done_.notify_all();
}

std::exception_ptr TaskBatches::run(const Batch& batch) const noexcept {
    try {
        for (const Task& task : batch.tasks) {
            if (batch.number > last_) break;
            task();
        }
    } catch (...) {
        return std::current_exception();
    }
    return nullptr;
}

void TaskBatches::throw_failure(std::unique_lock<std::mutex>& lock) {
    done_.wait(lock, [this] { return running_.empty(); });
    open_ = {};
    std::rethrow_exception(failure_);
}

}  // namespace imgbuild::layers
