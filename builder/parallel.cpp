#include "builder/parallel.hpp"

#include <imgbuild/error.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <vector>

namespace imgbuild::builder {

void in_parallel(std::size_t count, unsigned threads, std::stop_token stop,
                 const std::function<void(std::size_t, std::stop_token)>& body) {
    std::stop_source inner;
    const std::stop_callback forward(stop, [&inner] { inner.request_stop(); });
    std::atomic<std::size_t> next{0};
    std::vector<std::exception_ptr> failures(count);
    const auto drain = [&] {
        for (std::size_t i = next++; i < count && !inner.stop_requested(); i = next++) {
            try {
                body(i, inner.get_token());
            } catch (...) {
                failures[i] = std::current_exception();
                inner.request_stop();
            }
        }
    };
    {
        std::vector<std::jthread> helpers;
        const std::size_t wanted = std::min<std::size_t>(threads, count);
        for (std::size_t i = 1; i < wanted; ++i) helpers.emplace_back(drain);
        drain();
    }
    // Who was stopped because another failed says so as well; what happened is the other's error.
    std::exception_ptr cancelled;
    for (const std::exception_ptr& failure : failures) {
        if (!failure) continue;
        try {
            std::rethrow_exception(failure);
        } catch (const Cancelled&) {
            cancelled = failure;
        }
    }
    if (cancelled) std::rethrow_exception(cancelled);
    if (stop.stop_requested()) throw Cancelled();
}

}  // namespace imgbuild::builder
