// The host's side of the worker protocol: one request, its events, its result.
#pragma once

#include <imgbuild/worker.hpp>

#include "builder/worker/messages.hpp"
#include "builder/worker/translate.hpp"

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace imgbuild::client {

/// What a caller wants to hear meanwhile.
struct Listening {
    ProgressSink* progress = nullptr;
    std::stop_token stop;
    /// The build file that places point into.
    worker::KnownFile file;
    /// Answers secrets; may be empty.
    std::function<std::optional<std::string>(const std::string& id)> secret;
    /// Agents by their ids.
    std::map<std::string, std::string> agents;
    /// Filled with the warnings among the events; may be null.
    std::vector<event::Warning>* warnings = nullptr;
};

/// Starts a worker, has it carry out the task, and waits for its end. `descriptors` go with the request, one for each
/// name in `names`. Throws what the worker reports, Cancelled, WorkerFailed.
worker::Result run_task(worker::Task task, const WorkerOptions& options, const Listening& listening,
                        const std::vector<std::string>& names = {}, std::span<const int> descriptors = {});

/// The result that the task must have; WorkerFailed if the worker sent another one.
template <class Wanted>
Wanted require_result(worker::Result result) {
    if (auto* wanted = std::get_if<Wanted>(&result)) return std::move(*wanted);
    throw WorkerFailed({.code = "worker.bad-message",
                        .message = "the worker answered with the result of another task",
                        .hint = {},
                        .where = {}});
}

/// As of now, so that a later change of directory does not matter. Empty stays empty. Throws IoError.
std::string absolute_path(const std::string& path);

}  // namespace imgbuild::client
