#include "cli/services.hpp"

#include "builder/sandbox/host_facts.hpp"

#include <algorithm>
#include <thread>

namespace imgbuild::cli {

builder::Services make_services(AppContext& context, ProgressSink& progress) {
    return {.store = context.store(),
            .registry = context.registry(),
            .make_sandbox =
                [store = context.store().root()](const std::string& scratch) -> std::unique_ptr<sandbox::Sandbox> {
                return std::make_unique<sandbox::NamespaceSandbox>(sandbox::probe_host(store, scratch));
            },
            .progress = progress,
            .threads = std::max(1U, std::thread::hardware_concurrency())};
}

}  // namespace imgbuild::cli
