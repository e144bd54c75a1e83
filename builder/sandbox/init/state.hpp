// What the step init remembers between operations, and how it says that one failed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "builder/sandbox/wire.hpp"

namespace imgbuild::sandbox::init {

/// One per process; copied by each fork like everything else.
struct State {
    /// Number of the operation being carried out.
    std::uint32_t operation = 0;
    /// The overlay while it is attached nowhere; then the root of the step, before it becomes "/".
    int root = -1;
    /// The tmpfs of MountScratch.
    int scratch = -1;
    /// What CloneBind holds.
    int binds[op::kMaxBinds]{};
    unsigned bind_count = 0;
    /// By which the filter's listener goes from the command's process ([1]) to PID 1 ([0]); see notify.hpp.
    int listener_sockets[2]{-1, -1};
    /// How many files and directories of the scratch have been used.
    unsigned scratches = 0;
    /// The whole file that the plan came in.
    const char* received = nullptr;
    std::size_t received_size = 0;
    /// What HoldTree holds.
    int trees[op::kMaxTrees]{};
    unsigned tree_count = 0;
    /// Of ReceiveSecrets.
    const char* secrets = nullptr;
    wire::NumberList secret_sizes;
    /// "NAME=value" of SetSecretVariable; the last one first.
    struct Variable {
        const char* text;
        const Variable* next;
    };
    const Variable* secret_variables = nullptr;
    /// What the command may keep, see BoundCapabilities.
    std::uint64_t capabilities = 0;
};

/// Tells the worker that the current operation failed, with `errno` as the reason, and ends this process. `verb` and
/// `path` as in an IoError; `detail` may be empty.
[[noreturn]] void fail(const State& state, const char* verb, const char* path, const char* detail = "");

/// The value of secret number `secret`. fail() if the plan has none of this number.
wire::Text secret_value(const State& state, std::uint32_t secret);

/// fail() unless `result` >= 0; returns `result`.
int check(const State& state, long result, const char* verb, const char* path);

/// Sends one message; a worker that is gone does not matter here, as the lifeline tells.
void send(const wire::Message& message);

}  // namespace imgbuild::sandbox::init
