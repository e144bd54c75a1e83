// The worker's side of the protocol: one request is carried out, then the process ends.
//
// While the request is carried out a thread listens to the host. Its Cancel, and its end of file (the lifeline: a host
// that is gone wants nothing any more), stop the work; if the work does not end within kLastGrace of the host's end,
// the process ends all the same, and steps with it.
#pragma once

#include "builder/build.hpp"
#include "builder/worker/channel.hpp"
#include "builder/worker/messages.hpp"
#include "builder/worker/questions.hpp"

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>

namespace imgbuild::worker {

/// Longer than a step gets between SIGTERM and SIGKILL.
inline constexpr std::chrono::seconds kLastGrace{15};

struct Setup {
    /// Of the program; told to the host.
    std::string version;
    /// Opens what the request works with; called once. What it refers to lives until serve() returns.
    std::function<builder::Services(const Request&, Questions&, ProgressSink&)> services;
    /// The image that a text names; throws if there is none.
    std::function<layers::ImageRecord(layers::Store&, const std::string&)> require_image;
    /// What stops the work besides the host: signals.
    std::stop_token stop;
};

/// Greets, reads one request, carries it out and answers. Returns true if the host has got a result or an error; false
/// if it is gone. Standard input and output are replaced by the request's descriptors.
bool serve(Channel& channel, const Setup& setup);

}  // namespace imgbuild::worker
