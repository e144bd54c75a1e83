// From a step's description to the list of operations that its init carries out. Pure: the same spec and facts give the
// same plan, which prints as JSON (`imgbuild debug sandbox`, goldens in testdata/sandbox/) and needs no privileges.
//
//   const SandboxPlan plan = plan_sandbox(spec, facts);
//   fmt::print("{}", to_json(plan));
//   const std::string bytes = encode_plan(plan);       // what the init reads
//
// The operations are described in operations.hpp, and which process carries out which of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "builder/sandbox/host_facts.hpp"
#include "builder/sandbox/operations.hpp"
#include "builder/sandbox/step_spec.hpp"

namespace imgbuild::sandbox {

/// The form in which the worker holds operations.
struct Owned {
    using Text = std::string;
    using Bytes = std::string;
    using TextList = std::vector<std::string>;
    using NumberList = std::vector<std::uint32_t>;
};

using Action = op::All<std::variant, Owned>;

struct Operation {
    Action action;
    /// One sentence: why a step needs it.
    std::string why;
};

struct SandboxPlan {
    std::vector<Operation> operations;
};

/// The capabilities that a step may have at all, as bits: those that docker gives by default. CAP_SYS_ADMIN is not
/// among them, as identity-mapped root is this machine's uid 0 for every sysctl file.
std::uint64_t default_capabilities();

/// Throws UsageError for what a spec must not say: no command, no lower, relative paths, bad mount targets, texts with
/// a NUL.
SandboxPlan plan_sandbox(const StepSpec& spec, const HostFacts& facts);

/// A JSON array, one object per operation with "do", its fields and "why". A filter program is printed as its size
/// only, since its bytes depend on the version of libseccomp.
std::string to_json(const SandboxPlan& plan);

/// The bytes for the init, see wire.hpp.
std::string encode_plan(const SandboxPlan& plan);
/// The reverse, without the reasons. Throws CorruptData.
SandboxPlan decode_plan(std::string_view bytes);

}  // namespace imgbuild::sandbox
