// What counts is whether a step's own operations work, so these are what we try: the real init, with the beginning of a
// plan.
#include "builder/sandbox/probe.hpp"

#include <imgbuild/error.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "builder/sandbox/bounded_tmpfs.hpp"
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
        const auto* bind = std::get_if<op::AttachBind<Owned>>(&operation.action);
        return (mount != nullptr && mount->type == "proc") || (bind != nullptr && bind->target == "/proc");
    };
    const auto proc = std::find_if(plan.operations.begin(), plan.operations.end(), is_proc);
    plan.operations.erase(with_proc ? proc + 1 : proc, plan.operations.end());
    return plan;
}

/// Whether a plan gets to its end with the ids that `facts` says.
bool can_carry_out(const SandboxPlan& plan, const HostFacts& facts) {
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

/// The directories of a step that exists for the probe only.
class Trial {
public:
    Trial(const std::string& scratch, RootForm form) : place_(scratch, "probe-") {
        step_.args = {"/bin/true"};
        if (form == RootForm::copy) {
            step_.tree = make("/tree");
            make("/tree/proc");
            return;
        }
        std::string above = make("/above");
        if (form == RootForm::overlay_in_memory) memory_.emplace(above, kTrialMemory);
        make("/lower/proc");
        step_.lowers = {make("/lower")};
        step_.upper = make("/above/upper");
        step_.work = make("/above/work");
    }

    const StepSpec& step() const { return step_; }

private:
    static constexpr std::uint64_t kTrialMemory = std::uint64_t{1} << 20U;

    std::string make(const char* name) {
        std::string path = place_.path() + name;
        util::make_directories(path);
        return path;
    }

    util::TempDir place_;
    std::optional<BoundedTmpfs> memory_;
    StepSpec step_;
};

enum class Until { root, proc };

/// Does the beginning of a step work with what `facts` says?
bool works(const std::string& scratch, const HostFacts& facts, RootForm form, Until until) {
    try {
        const Trial trial(scratch, form);
        return can_carry_out(beginning(plan_sandbox(trial.step(), facts), until == Until::proc), facts);
    } catch (const IoError&) {
        // Such a place cannot even be made.
        return false;
    }
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
    facts.mount_proc = true;  // until it is asked for
    facts.ids = StepIds::shifted;
    facts.overlay = works(scratch, facts, RootForm::overlay, Until::root);
    if (!facts.overlay) {
        facts.ids = StepIds::identity;
        facts.overlay = works(scratch, facts, RootForm::overlay, Until::root);
    }
    if (!facts.overlay) {
        facts.overlay_in_memory = works(scratch, facts, RootForm::overlay_in_memory, Until::root);
    }
    if (best_root(facts) == RootForm::copy) {
        facts.ids = StepIds::shifted;
        if (!works(scratch, facts, RootForm::copy, Until::root)) facts.ids = StepIds::identity;
    }
    facts.mount_proc = works(scratch, facts, best_root(facts), Until::proc);
    facts.steps = facts.mount_proc || works(scratch, facts, best_root(facts), Until::proc);
}

}  // namespace imgbuild::sandbox
