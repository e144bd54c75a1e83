// What counts is whether a step's own operations work, so these are what we try: the real init, with the beginning of a
// plan.
#include "builder/sandbox/probe.hpp"

#include <imgbuild/error.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "builder/sandbox/init_program.hpp"
#include "builder/sandbox/plan.hpp"
#include "builder/sandbox/running_step.hpp"
#include "builder/sandbox/worker.hpp"
#include "util/files.hpp"

namespace imgbuild::sandbox {
namespace {

class NoOutput final : public OutputSink {
public:
    void output(Stream, std::string_view) override {}
};

/// A plan up to and with its first mount of a proc, or up to before that. There is no command at the end, which the
/// init reports as a protocol error once everything before has worked.
SandboxPlan beginning(SandboxPlan plan, bool with_proc) {
    const auto is_proc = [](const Operation& operation) {
        const auto* mount = std::get_if<op::MountFileSystem<Owned>>(&operation.action);
        return mount != nullptr && mount->type == "proc";
    };
    const auto proc = std::find_if(plan.operations.begin(), plan.operations.end(), is_proc);
    plan.operations.erase(with_proc ? proc + 1 : proc, plan.operations.end());
    return plan;
}

/// Does the beginning of a step work with the ids that `facts` says?
bool works(const std::string& scratch, const HostFacts& facts, bool with_proc) {
    const util::TempDir place(scratch, "probe-");
    for (const char* name : {"/lower/proc", "/upper", "/work"}) util::make_directories(place.path() + name);
    StepSpec step;
    step.args = {"/bin/true"};
    step.lowers = {place.path() + "/lower"};
    step.upper = place.path() + "/upper";
    step.work = place.path() + "/work";
    const SandboxPlan plan = beginning(plan_sandbox(step, facts), with_proc);
    const util::Fd file(util::check(memfd_create("imgbuild-probe", MFD_CLOEXEC), "make memory file", "imgbuild-probe"));
    util::write_all(file.get(), encode_plan(plan), "imgbuild-probe");
    const util::Fd init = open_init_program();
    NoOutput output;
    try {
        const BuildNamespace user = BuildNamespace::create(facts.ids);
        const util::Fd store = facts.ids == StepIds::shifted ? clone_idmapped(facts.store, user) : util::Fd();
        RunningStep({.init = init.get(), .plan = file.get(), .user_namespace = user.fd(), .store = store.get()})
            .follow(plan, output, {}, {});
    } catch (const IoError& error) {
        return error.error_number() == EPROTO;
    }
    return false;
}

bool has_user_namespaces() {
    try {
        BuildNamespace::create(StepIds::identity);
        return true;
    } catch (const IoError&) {
        return false;
    }
}

}  // namespace

void probe_namespaces(const std::string& scratch, HostFacts& facts) {
    if (!has_user_namespaces()) return;
    facts.ids = StepIds::shifted;
    facts.overlay = works(scratch, facts, false);
    if (!facts.overlay) {
        facts.ids = StepIds::identity;
        facts.overlay = works(scratch, facts, false);
    }
    facts.mount_proc = facts.overlay && works(scratch, facts, true);
}

}  // namespace imgbuild::sandbox
