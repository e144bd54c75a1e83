#include "util/background_hash.hpp"

#include "util/byte_queue.hpp"

#include <cstddef>
#include <thread>
#include <vector>

namespace imgbuild::util {
namespace {

// A thread takes some 30 µs to start, in which 40 KB are hashed; but it also takes a core that others may want.
constexpr std::uint64_t kAlone = 1U << 20;
constexpr std::size_t kStep = 256U << 10;
constexpr std::size_t kQueueBytes = 4U << 20;

}  // namespace

struct BackgroundHash::Worker {
    explicit Worker(Sha256& hash) : queue(kQueueBytes) {
        waiting.reserve(kStep);
        thread = std::jthread([this, &hash] {
            std::vector<std::byte> buffer(kStep);
            while (const std::size_t n = queue.source().read(buffer)) hash.update(std::span(buffer).first(n));
        });
    }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    ~Worker() { queue.end(); }

    // Tars come in pieces of a few hundred bytes, and each hand-over costs a lock.
    void write(std::span<const std::byte> bytes) {
        if (waiting.size() + bytes.size() > kStep) flush();
        if (bytes.size() >= kStep) return queue.write(bytes);
        waiting.insert(waiting.end(), bytes.begin(), bytes.end());
    }
    void flush() {
        queue.write(waiting);
        waiting.clear();
    }
    void finish() {
        flush();
        queue.end();
        thread.join();
    }

    ByteQueue queue;
    std::vector<std::byte> waiting;
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
