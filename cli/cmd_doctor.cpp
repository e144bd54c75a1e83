#include <imgbuild/error.hpp>

#include "builder/sandbox/advice.hpp"
#include "builder/sandbox/worker.hpp"
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "layers/store.hpp"
#include "util/files.hpp"

#include <CLI/CLI.hpp>

#include <unistd.h>
#include <filesystem>
#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    bool json = false;
};

/// The store need not be there yet, and looking for it makes none.
std::string nearest_existing(const std::string& store) {
    std::filesystem::path place = std::filesystem::absolute(store);
    std::error_code ignored;
    while (place.has_relative_path() && !std::filesystem::is_directory(place, ignored)) place = place.parent_path();
    return place.string();
}

/// A machine on which no worker can be made is what this command is for, so that is an answer and no error.
std::string try_to_become_worker() {
    try {
        sandbox::enter_worker();
        return {};
    } catch (const Error& error) {
        if (!error.code().starts_with("machine.")) throw;
        return error.code();
    }
}

sandbox::HostFacts ask_machine(const std::string& store) {
    const sandbox::UserFacts user = sandbox::ask_user();
    const std::string place = nearest_existing(store);
    sandbox::HostFacts facts = sandbox::ask_kernel(store, place);
    const std::string worker_error = try_to_become_worker();
    if (worker_error.empty() && facts.store_writable) {
        const util::TempDir scratch(place, ".imgbuild-doctor-");
        const std::string root = place == store ? store : scratch.path();
        facts = sandbox::probe_host(root, scratch.path());
        facts.store = store;
    }
    facts.worker_error = worker_error;
    facts.user = user;
    return facts;
}

int run_doctor(const Options& options, const sandbox::HostFacts& facts) {
    print_result(options.json ? sandbox::render_json(facts) : sandbox::render_text(facts));
    return sandbox::can_build(sandbox::examine(facts)) ? 0 : kMachine;
}

}  // namespace

void add_doctor(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("doctor", "Tell what this machine allows, and how to improve it");
    command->footer("Ends with 0 if steps can run here, and with 12 if not.\n\nExample:\n  imgbuild doctor --json");
    command->add_flag("--json", options->json, "As JSON, for programs");
    command->callback([options, &context, &chosen] {
        context.uses_store = false;
        // It becomes a worker as well, if it can.
        auto facts = std::make_shared<sandbox::HostFacts>();
        context.before_threads = [facts, &context] { *facts = ask_machine(context.store_root()); };
        chosen = [options, facts] { return run_doctor(*options, *facts); };
    });
}

}  // namespace imgbuild::cli
