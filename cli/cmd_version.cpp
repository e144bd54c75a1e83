#include "cli/commands.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <memory>

namespace imgbuild::cli {

void add_version(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto as_json = std::make_shared<bool>(false);
    CLI::App* command = app.add_subcommand("version", "Print the version");
    command->footer("Example:\n  imgbuild version --json");
    command->add_flag("--json", *as_json, "As JSON, for programs");
    command->callback([as_json, &context, &chosen] {
        context.uses_store = false;
        chosen = [as_json] {
            print_result(*as_json ? nlohmann::json{{"version", IMGBUILD_VERSION}}.dump() + "\n"
                                  : fmt::format("imgbuild {}\n", IMGBUILD_VERSION));
            return 0;
        };
    });
}

}  // namespace imgbuild::cli
