#include "cli/foreign_options.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace imgbuild::cli {
namespace {

// What cannot be done, and what to do instead.
struct Refused {
    const char* name;
    const char* instead;
};

constexpr Refused kRefused[] = {
    {"--attest", "images have no attestations yet: leave it out"},
    {"--builder", "there are no builders to choose from: every build is its own"},
    {"--cache-from", "only the local store is a cache yet: keep $IMGBUILD_ROOT between builds"},
    {"--cache-to", "only the local store is a cache yet: keep $IMGBUILD_ROOT between builds"},
    {"--cgroup-parent", "start imgbuild in the control group that its steps are to be in"},
    {"--cpu-period", "start imgbuild in a control group with limits"},
    {"--cpu-quota", "start imgbuild in a control group with limits"},
    {"--cpu-shares", "start imgbuild in a control group with limits"},
    {"--cpuset-cpus", "start imgbuild under taskset"},
    {"--cpuset-mems", "start imgbuild under numactl"},
    {"-m,--memory", "start imgbuild in a control group with limits"},
    {"--memory-swap", "start imgbuild in a control group with limits"},
    {"--policy", "there are no policies yet"},
    {"--resource", "start imgbuild in a control group with limits"},
    {"--print", "use --call"},
    {"--isolation", "steps always run in a sandbox of their own"},
    {"--security-opt", "steps always have the default profile (docs/sandbox.md)"},
    {"--format", "images are OCI images"},
    {"--layers", "every step is a layer and is cached; --squash joins them"},
    {"--manifest", "push one image per platform, and join them with another tool"},
    {"--timestamp", "use --source-date-epoch"},
};

// These may be said to be off, which they are.
constexpr Refused kOffOnly[] = {
    {"--provenance", "images have no attestations yet: leave it out"},
    {"--sbom", "images have no attestations yet: leave it out"},
};

// What they ask for is so in any case.
constexpr const char* kHarmlessFlags[] = {"-D,--debug", "--rm", "--force-rm", "--compress", "--rewrite-timestamp"};

UsageError unsupported(const char* name, const char* instead) {
    return UsageError({.code = "usage.unsupported-option",
                       .message = fmt::format("the option {} is not supported", name),
                       .hint = instead,
                       .where = {}});
}

bool is_off(const std::string& value) {
    return util::equals_ignoring_case(value, "false") || value == "0" || util::equals_ignoring_case(value, "none");
}

void add_valued(CLI::App& command, const char* name, const std::function<void(const std::string&)>& take) {
    command
        .add_option_function<std::vector<std::string>>(name,
                                                       [take](const std::vector<std::string>& values) {
                                                           for (const std::string& value : values) take(value);
                                                       })
        ->allow_extra_args(false)
        ->group("");
}

}  // namespace

void add_foreign_options(CLI::App& command) {
    for (const Refused& option : kRefused) {
        add_valued(command, option.name,
                   [option](const std::string&) { throw unsupported(option.name, option.instead); });
    }
    for (const Refused& option : kOffOnly) {
        // As a flag, since "--sbom" alone means yes.
        const auto value = std::make_shared<std::string>();
        command.add_flag(fmt::format("{}{{true}}", option.name), *value)
            ->group("")
            ->each([value, option](const std::string& given) {
                if (!is_off(given)) throw unsupported(option.name, option.instead);
            });
    }
    for (const char* name : kHarmlessFlags) command.add_flag(name)->group("");
}

}  // namespace imgbuild::cli
