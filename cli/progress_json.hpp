// Progress as JSON, one object per line (docs/schemas/progress.json): for tools that follow a build.
#pragma once

#include <imgbuild/progress.hpp>

#include <mutex>

namespace imgbuild::cli {

class JsonProgress final : public ProgressSink {
public:
    /// Writes to the descriptor `fd`, which somebody else owns.
    explicit JsonProgress(int fd) : fd_(fd) {}
    void report(const Event& event) noexcept override;

private:
    int fd_;
    std::mutex mutex_;
};

/// For --progress=quiet.
class NoProgress final : public ProgressSink {
public:
    void report(const Event&) noexcept override {}
};

}  // namespace imgbuild::cli
