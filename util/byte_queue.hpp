// Bytes on their way from one thread to another, in order and never more than so many at once.
//
//     ByteQueue queue(2U << 20);
//     std::jthread writer([&] { queue.run_producer([&](Sink& into) { fetch(into); }); });
//     unpack(queue.source());
//     queue.stop_reading();
//
// One thread writes and one reads; each uses its own side only.
#pragma once

#include "util/bytes.hpp"

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <vector>

namespace imgbuild::util {

class ByteQueue {
public:
    /// Holds up to `capacity` bytes (at least one).
    explicit ByteQueue(std::size_t capacity);

    // The writing side.
    /// Calls `produce` with what takes the bytes, and ends the stream when it returns. What it throws is thrown out of
    /// the reader's read(), after all bytes that came before. Never throws. Call once.
    void run_producer(const std::function<void(Sink&)>& produce) noexcept;

    // The reading side.
    Source& source() { return reader_; }
    /// Whoever writes is not kept waiting from now on: what comes is dropped.
    void stop_reading();
    /// What `produce` threw, once it has ended; null if it did not.
    std::exception_ptr failure() const;

private:
    class Reader final : public Source {
    public:
        explicit Reader(ByteQueue& queue) : queue_(queue) {}
        std::size_t read(std::span<std::byte> into) override { return queue_.read(into); }

    private:
        ByteQueue& queue_;
    };
    class Writer final : public Sink {
    public:
        explicit Writer(ByteQueue& queue) : queue_(queue) {}
        void write(std::span<const std::byte> bytes) override { queue_.write(bytes); }

    private:
        ByteQueue& queue_;
    };

    std::size_t read(std::span<std::byte> into);
    void write(std::span<const std::byte> bytes);
    void end(std::exception_ptr failure);

    Reader reader_{*this};
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    /// A ring: `size_` bytes from `begin_` on. The sides touch different parts of it, so neither copies under the lock.
    std::vector<std::byte> ring_;
    std::size_t begin_ = 0;
    std::size_t size_ = 0;
    bool ended_ = false;
    bool dropped_ = false;
    std::exception_ptr failure_;
};

/// What `inner` yields, read ahead by a thread of its own, so that making the bytes and using them overlap. `inner`
/// must outlive it; destruction waits for a read under way, and no more are begun.
class ReadAhead final : public Source {
public:
    ReadAhead(Source& inner, std::size_t capacity);
    ~ReadAhead() override;
    std::size_t read(std::span<std::byte> into) override;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace imgbuild::util
