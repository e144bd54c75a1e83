#include <imgbuild/error.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>
#include <variant>

#include "builder/sandbox/advice.hpp"
#include "builder/sandbox/init_program.hpp"
#include "builder/sandbox/plan.hpp"
#include "builder/sandbox/running_step.hpp"
#include "builder/sandbox/sandbox.hpp"
#include "builder/sandbox/seccomp_profile.hpp"
#include "builder/sandbox/worker.hpp"

namespace imgbuild::sandbox {
namespace {

HostFacts required(HostFacts facts, SnapshotterChoice choice) {
    require_steps(facts);
    const bool has_overlay = best_root(facts) != RootForm::copy;
    if (choice == SnapshotterChoice::overlay && !has_overlay) throw_lack(no_overlay(facts));
    return facts;
}

std::vector<std::uint32_t> sizes_of(const std::vector<int>& files) {
    std::vector<std::uint32_t> out;
    for (const int file : files) {
        struct stat status {};
        util::check(fstat(file, &status), "look at", "a secret");
        out.push_back(static_cast<std::uint32_t>(status.st_size));
    }
    return out;
}

// From one memory file to the other within the kernel: a value is never in memory of ours, nor in a core of it.
void append_secret(int to, int from, std::uint32_t size) {
    off_t offset = 0;
    while (offset < static_cast<off_t>(size)) {
        const ssize_t sent = sendfile(to, from, &offset, size - static_cast<std::size_t>(offset));
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) throw IoError("hand over", "a secret", sent < 0 ? errno : EIO);
    }
}

/// The plan as the init reads it, with the secrets behind it.
util::Fd plan_file(SandboxPlan& plan, const std::vector<int>& secrets) {
    const std::vector<std::uint32_t> sizes = sizes_of(secrets);
    op::ReceiveSecrets<Owned>* receive = nullptr;
    for (Operation& operation : plan.operations) {
        if (auto* found = std::get_if<op::ReceiveSecrets<Owned>>(&operation.action)) receive = found;
    }
    if (receive != nullptr) {
        receive->sizes = sizes;
        // The number has the same length on the wire, whatever it is.
        receive->offset = encode_plan(plan).size();
    }
    util::Fd file(util::check(memfd_create("imgbuild-plan", MFD_CLOEXEC), "make memory file", "imgbuild-plan"));
    util::write_all(file.get(), encode_plan(plan), "imgbuild-plan");
    for (std::size_t i = 0; i < secrets.size(); ++i) append_secret(file.get(), secrets[i], sizes[i]);
    return file;
}

// Somebody may listen to this process's calls already: it has a filter. Where that cannot be told, it may be so.
bool may_be_heard() {
    try {
        return !util::read_file("/proc/self/status", std::size_t{64} << 10U).contains("\nSeccomp:\t0\n");
    } catch (const IoError&) {
        return true;
    }
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
    std::string unheard = may_be_heard() ? compile_default_filter(Listening::nobody) : std::string();
};

NamespaceSandbox::NamespaceSandbox(HostFacts facts, NamespaceOptions options)
    : state_(new State{required(std::move(facts), options.snapshotter), options}) {}

NamespaceSandbox::~NamespaceSandbox() = default;

RootForm NamespaceSandbox::root_form() const {
    return state_->options.snapshotter == SnapshotterChoice::copy ? RootForm::copy : best_root(state_->facts);
}

StepResult NamespaceSandbox::run(const StepSpec& step, OutputSink& output, std::stop_token stop) {
    if (stop.stop_requested()) throw Cancelled();
    SandboxPlan plan = plan_sandbox(step, state_->facts);
    for (Operation& operation : plan.operations) {
        auto* install = std::get_if<op::InstallFilter<Owned>>(&operation.action);
        if (install == nullptr) continue;
        install->program = state_->filter;
        install->unheard = state_->unheard;
    }
    const util::Fd bytes = plan_file(plan, step.secrets);
    RunningStep running({.init = state_->init.get(),
                         .plan = bytes.get(),
                         .user_namespace = state_->user_namespace.fd(),
                         .store = state_->store.get()});
    return running.follow(plan, output, std::move(stop), state_->options.grace);
}

}  // namespace imgbuild::sandbox
