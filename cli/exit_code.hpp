// The one table from error codes to exit codes (DESIGN 2).
#pragma once

#include <string_view>

namespace imgbuild::cli {

enum ExitCode : int {
    kOk = 0,
    kBuildFailed = 1,
    kUsage = 2,
    kCheckFailed = 3,
    kVerifyMismatch = 4,
    kLockDrift = 5,
    kRegistry = 10,
    kSource = 11,
    kMachine = 12,
    kInternal = 100,
    kResources = 102,
    kInterrupted = 130,
    kTerminated = 143,
};

/// By the part of an error's code before the dot.
int exit_code(std::string_view code);

}  // namespace imgbuild::cli
