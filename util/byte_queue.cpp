#include "util/byte_queue.hpp"

#include "util/assert.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <utility>

namespace imgbuild::util {
namespace {

// Waking somebody for a few bytes costs more than they are worth.
constexpr std::size_t kWorthWaking = 64U << 10;

}  // namespace

ByteQueue::ByteQueue(std::size_t capacity) : ring_(capacity) {
    IMGBUILD_ASSERT(capacity > 0);
}

void ByteQueue::run_producer(const std::function<void(Sink&)>& produce) noexcept {
    Writer writer(*this);
    try {
        produce(writer);
        end(nullptr);
    } catch (...) {
        end(std::current_exception());
    }
}

void ByteQueue::end(std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    failure_ = std::move(failure);
    changed_.notify_all();
}

void ByteQueue::stop_reading() {
    const std::lock_guard lock(mutex_);
    dropped_ = true;
    changed_.notify_all();
}

std::exception_ptr ByteQueue::failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
}

void ByteQueue::write(std::span<const std::byte> bytes) {
    std::unique_lock lock(mutex_);
    while (!bytes.empty()) {
        changed_.wait(lock, [this] { return size_ < ring_.size() || dropped_; });
        if (dropped_) return;
        const std::size_t at = (begin_ + size_) % ring_.size();
        const std::size_t n = std::min({bytes.size(), ring_.size() - size_, ring_.size() - at});
        lock.unlock();
        std::memcpy(ring_.data() + at, bytes.data(), n);
        lock.lock();
        const bool was_little = size_ < kWorthWaking;
        size_ += n;
        if (was_little) changed_.notify_all();
        bytes = bytes.subspan(n);
    }
}

std::size_t ByteQueue::read(std::span<std::byte> into) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return size_ > 0 || ended_; });
    if (size_ == 0) {
        if (failure_) std::rethrow_exception(failure_);
        return 0;
    }
    const std::size_t n = std::min({into.size(), size_, ring_.size() - begin_});
    lock.unlock();
    std::memcpy(into.data(), ring_.data() + begin_, n);
    lock.lock();
    const bool was_much = ring_.size() - size_ < kWorthWaking;
    begin_ = (begin_ + n) % ring_.size();
    size_ -= n;
    if (was_much) changed_.notify_all();
    return n;
}

struct ReadAhead::State {
    State(Source& source, std::size_t capacity) : inner(source), queue(capacity) {
        thread = std::jthread([this] { queue.run_producer([this](Sink& into) { pump(into); }); });
    }

    void pump(Sink& into) {
        constexpr std::size_t kStep = 256U << 10;
        std::vector<std::byte> buffer(kStep);
        while (!stopped) {
            const std::size_t n = inner.read(buffer);
            if (n == 0) return;
            into.write(std::span(buffer).first(n));
        }
    }

    Source& inner;
    ByteQueue queue;
    std::atomic<bool> stopped = false;
    std::jthread thread;
};

ReadAhead::ReadAhead(Source& inner, std::size_t capacity) : state_(std::make_unique<State>(inner, capacity)) {}

ReadAhead::~ReadAhead() {
    state_->stopped = true;
    state_->queue.stop_reading();
}

std::size_t ReadAhead::read(std::span<std::byte> into) {
    return state_->queue.source().read(into);
}

}  // namespace imgbuild::util
