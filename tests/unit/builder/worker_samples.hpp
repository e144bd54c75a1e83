// One message of every kind, with every member away from its default.
#pragma once

#include "builder/worker/messages.hpp"

#include <vector>

namespace imgbuild::worker::test {

std::vector<FromHost> host_samples();
std::vector<FromWorker> worker_samples();

/// A request with every member away from its default, and so each member of what it is made of.
builder::BuildRequest full_request();

}  // namespace imgbuild::worker::test
