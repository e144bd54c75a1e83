// Progress as lines of text, for logs and terminals alike:
//
//     #2 [build 2/4] RUN make
//     #2 0.812 gcc -o app main.c
//     #2 DONE 1.4s
//     #3 [build 3/4] COPY --from=build /app /app
//     #3 CACHED
//
// Output lines of steps that run at once are never mixed within a line. Threads may report at any time.
#pragma once

#include <imgbuild/progress.hpp>

#include <chrono>
#include <map>
#include <mutex>
#include <string>

namespace imgbuild::cli {

class PlainProgress final : public ProgressSink {
public:
    /// Writes to the descriptor `fd`, which somebody else owns.
    explicit PlainProgress(int fd) : fd_(fd) {}
    void report(const Event& event) noexcept override;

private:
    struct Running {
        std::chrono::steady_clock::time_point begin;
        /// The part of a line that has not ended yet.
        std::string partial;
    };

    void print(const Event& event);
    void started(const event::StepStarted& event);
    void output(const event::StepOutput& event);
    void finished(const event::StepFinished& event);
    void flush(std::size_t number, Running& running);
    void write(std::string_view text) const;

    int fd_;
    std::mutex mutex_;
    std::map<std::size_t, Running> running_;
};

}  // namespace imgbuild::cli
