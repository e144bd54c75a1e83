#include <imgbuild/error.hpp>

#include <fcntl.h>
#include <sys/mman.h>

#include <utility>
#include <variant>

#include "builder/sandbox/init_program.hpp"
#include "builder/sandbox/plan.hpp"
#include "builder/sandbox/running_step.hpp"
#include "builder/sandbox/sandbox.hpp"
#include "builder/sandbox/seccomp_profile.hpp"
#include "builder/sandbox/worker.hpp"

namespace imgbuild::sandbox {
namespace {

HostFacts required(HostFacts facts) {
    require_steps(facts);
    return facts;
}

util::Fd memory_file(const std::string& bytes) {
    util::Fd file(util::check(memfd_create("imgbuild-plan", MFD_CLOEXEC), "make memory file", "imgbuild-plan"));
    util::write_all(file.get(), bytes, "imgbuild-plan");
    return file;
}

}  // namespace

/// All of it is made once per build and only read afterwards, so that run() needs no lock.
struct NamespaceSandbox::State {
    HostFacts facts;
    NamespaceOptions options;
    BuildNamespace user_namespace = BuildNamespace::create(facts.ids);
    util::Fd store = facts.ids == StepIds::shifted ? clone_idmapped(facts.store, user_namespace) : util::Fd();
    util::Fd init = open_init_program();
    std::string filter = compile_default_filter();
};

NamespaceSandbox::NamespaceSandbox(HostFacts facts, NamespaceOptions options)
    : state_(new State{required(std::move(facts)), options}) {}

NamespaceSandbox::~NamespaceSandbox() = default;

StepResult NamespaceSandbox::run(const StepSpec& step, OutputSink& output, std::stop_token stop) {
    if (stop.stop_requested()) throw Cancelled();
    SandboxPlan plan = plan_sandbox(step, state_->facts);
    for (Operation& operation : plan.operations) {
        if (auto* install = std::get_if<op::InstallFilter<Owned>>(&operation.action)) install->program = state_->filter;
    }
    const util::Fd bytes = memory_file(encode_plan(plan));
    RunningStep running({.init = state_->init.get(),
                         .plan = bytes.get(),
                         .user_namespace = state_->user_namespace.fd(),
                         .store = state_->store.get()});
    return running.follow(plan, output, std::move(stop), state_->options.grace);
}

}  // namespace imgbuild::sandbox
