// SIGINT and SIGTERM as a stop token. The first asks the build to stop; the second ends the process at once (steps end
// with it, by their lifeline).
#pragma once

#include "util/fd.hpp"

#include <atomic>
#include <stop_token>
#include <thread>

namespace imgbuild::cli {

class SignalWatch {
public:
    /// Blocks the signals; to be made while the process has one thread.
    SignalWatch();
    ~SignalWatch();

    /// Begins to listen, on a thread of its own.
    void start();
    std::stop_token stop() const { return stop_.get_token(); }
    /// What a process stopped by the signal that came should return: 130 or 143.
    int exit_code() const;

private:
    void listen(std::stop_token ending);

    util::Fd signals_;
    util::Fd wake_;
    std::stop_source stop_;
    std::atomic<int> received_{0};
    std::jthread listener_;
};

}  // namespace imgbuild::cli
