// Starting the worker without forking the host (include/imgbuild/worker.hpp says what that promises).
#pragma once

#include "util/fd.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>

namespace imgbuild::client {

/// A started worker and our end of its socket. Killed and reaped with the object.
class WorkerProcess {
public:
    /// `program` is an absolute path; `environment` nothing: that of this process. Throws WorkerFailed
    /// ("worker.not-started"), IoError.
    WorkerProcess(const std::string& program, const std::optional<std::map<std::string, std::string>>& environment);
    ~WorkerProcess();
    WorkerProcess(const WorkerProcess&) = delete;
    WorkerProcess& operator=(const WorkerProcess&) = delete;

    /// Once.
    util::Fd take_socket() { return std::move(socket_); }
    void kill() noexcept;
    /// Waits for the end, kills after `patience`, and tells it: "exit code 1", "signal 9"; and the last line that the
    /// worker wrote to standard error. Once.
    std::string wait(std::chrono::milliseconds patience);

private:
    util::Fd process_;
    util::Fd socket_;
    /// A memory file of bounded size: the worker's standard error.
    util::Fd messages_;
};

}  // namespace imgbuild::client
