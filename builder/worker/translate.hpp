// Errors and events in the form in which they travel, and back.
#pragma once

#include "builder/worker/messages.hpp"

#include <exception>
#include <memory>

namespace imgbuild::worker {

/// What a place of the other side may point into without carrying its text: the request's build file.
using KnownFile = std::shared_ptr<const SourceFile>;

/// Any exception; what is no Error becomes "internal.unexpected" or "resources.memory".
Failure to_failure(std::exception_ptr exception, const KnownFile& known);
/// Throws the error that the failure stands for, as the type that it was.
[[noreturn]] void rethrow(const Failure& failure, const KnownFile& known);

WireEvent to_wire(const Event& event, const KnownFile& known);
/// The result's views point into `event`.
Event from_wire(const WireEvent& event, const KnownFile& known);

}  // namespace imgbuild::worker
