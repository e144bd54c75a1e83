#include "util/background_hash.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace imgbuild::util {
namespace {

// A thread takes some 30 µs to start, in which 40 KB are hashed; but it also takes a core that others may want.
constexpr std::uint64_t kAlone = 1U << 20;
constexpr std::size_t kBlockBytes = 1U << 20;
constexpr std::size_t kMaxBlocks = 4;

}  // namespace

// Whole blocks change hands, so each byte is copied once and a lock taken twice per megabyte.
struct BackgroundHash::Worker {
    using Block = std::vector<std::byte>;

    explicit Worker(Sha256& sum) : hash(sum) {
        thread = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }

    void write(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            if (filling.capacity() == 0) filling = take_empty();
            const std::size_t n = std::min(bytes.size(), kBlockBytes - filling.size());
            filling.insert(filling.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
            bytes = bytes.subspan(n);
            if (filling.size() == kBlockBytes) hand_over();
        }
    }
    void finish() {
        hand_over();
        {
            std::unique_lock lock(mutex);
            changed.wait(lock, [this] { return full.empty() && !busy; });
        }
        thread.request_stop();
        thread.join();
    }

private:
    Block take_empty() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return !empty.empty() || made < kMaxBlocks; });
        Block out;
        if (empty.empty()) {
            ++made;
            lock.unlock();
            out.reserve(kBlockBytes);
        } else {
            out = std::move(empty.back());
            empty.pop_back();
        }
        return out;
    }

    void hand_over() {
        {
            const std::lock_guard lock(mutex);
            full.push_back(std::exchange(filling, {}));
        }
        changed.notify_all();
    }

    void run(const std::stop_token& stop) {
        std::unique_lock lock(mutex);
        while (changed.wait(lock, stop, [this] { return !full.empty(); })) {
            Block block = std::move(full.front());
            full.pop_front();
            busy = true;
            lock.unlock();
            hash.update(block);
            block.clear();
            lock.lock();
            busy = false;
            empty.push_back(std::move(block));
            changed.notify_all();
        }
    }

    Sha256& hash;
    Block filling;
    std::mutex mutex;
    std::condition_variable_any changed;
    std::deque<Block> full;
    std::vector<Block> empty;
    std::size_t made = 0;
    bool busy = false;
    std::jthread thread;  // last: it ends before the rest goes
};

BackgroundHash::BackgroundHash(Threads threads) : threads_(threads) {}

BackgroundHash::~BackgroundHash() = default;

void BackgroundHash::write(std::span<const std::byte> bytes) {
    size_ += bytes.size();
    if (worker_) return worker_->write(bytes);
    if (threads_ == Threads::none || size_ <= kAlone) return hash_.update(bytes);
    worker_ = std::make_unique<Worker>(hash_);
    worker_->write(bytes);
}

Digest BackgroundHash::finish() {
    if (worker_) worker_->finish();
    worker_.reset();
    return hash_.digest();
}

}  // namespace imgbuild::util
