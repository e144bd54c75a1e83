#include "cli/services.hpp"

#include "builder/sandbox/host_facts.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <map>
#include <thread>

namespace imgbuild::cli {

builder::Services make_services(AppContext& context, ProgressSink& progress) {
    return {.store = context.store(),
            .registry = context.registry(),
            .make_sandbox = [store = context.store().root(), choice = context.snapshotter](
                                const std::string& scratch) -> std::unique_ptr<sandbox::Sandbox> {
                return std::make_unique<sandbox::NamespaceSandbox>(sandbox::probe_host(store, scratch),
                                                                   sandbox::NamespaceOptions{.snapshotter = choice});
            },
            .progress = progress,
            .threads = std::max(1U, std::thread::hardware_concurrency())};
}

void add_snapshotter_option(CLI::App& command, AppContext& context) {
    using Choice = sandbox::SnapshotterChoice;
    static const std::map<std::string, Choice> kChoices = {
        {"auto", Choice::automatic}, {"overlay", Choice::overlay}, {"copy", Choice::copy}};
    command
        .add_option_function<std::string>(
            "--snapshotter", [&context](const std::string& name) { context.snapshotter = kChoices.at(name); },
            "How a step gets a root that it can write to: overlay, copy (slow, works everywhere), or what the machine "
            "has")
        ->type_name("auto|overlay|copy")
        ->take_last()
        ->check(CLI::IsMember({"auto", "overlay", "copy"}));
}

}  // namespace imgbuild::cli
