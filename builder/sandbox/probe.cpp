// What counts is whether a step's own operations work, so these are what we try: the real init, with the beginning of a
// plan.
#include "builder/sandbox/probe.hpp"

#include <imgbuild/error.hpp>

#include <sys/mman.h>

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

/// The operations of a step up to its proc. There is no command at the end, which the init reports as a protocol error
/// once everything before has worked.
SandboxPlan beginning(const std::string& directory, bool with_proc) {
    SandboxPlan plan;
    const auto add = [&](Action action) { plan.operations.push_back({std::move(action), "a probe of this machine"}); };
    add(op::EnterUserNamespace<Owned>{});
    add(op::NewNamespaces<Owned>{.namespaces = op::kMountNs | op::kPidNs | op::kIpcNs | op::kUtsNs | op::kCgroupNs});
    add(op::StartInit<Owned>{});
    add(op::MountOverlay<Owned>{
        .lowers = {directory + "/lower"}, .upper = directory + "/upper", .work = directory + "/work"});
    add(op::MountScratch<Owned>{.at = directory + "/work"});
    add(op::AttachRoot<Owned>{});
    if (with_proc) add(op::MountFileSystem<Owned>{.type = "proc", .target = "/proc", .options = {}, .flags = 0});
    return plan;
}

bool works(const std::string& store, const BuildNamespace& user, bool with_proc) {
    const util::TempDir scratch(store, "probe-");
    for (const char* name : {"/lower/proc", "/upper", "/work"}) util::make_directories(scratch.path() + name);
    const SandboxPlan plan = beginning(scratch.path(), with_proc);
    const util::Fd file(util::check(memfd_create("imgbuild-probe", MFD_CLOEXEC), "make memory file", "imgbuild-probe"));
    util::write_all(file.get(), encode_plan(plan), "imgbuild-probe");
    const util::Fd init = open_init_program();
    NoOutput output;
    try {
        RunningStep(init.get(), file.get(), user.fd()).follow(plan, output, {}, {});
    } catch (const IoError& error) {
        return error.error_number() == EPROTO;
    }
    return false;
}

}  // namespace

void probe_namespaces(const std::string& store, HostFacts& facts) {
    try {
        const BuildNamespace user = BuildNamespace::create();
        facts.user_namespaces = true;
        facts.overlay = works(store, user, false);
        facts.mount_proc = facts.overlay && works(store, user, true);
    } catch (const IoError&) {
        // No user namespace: the rest stays "no".
    }
}

}  // namespace imgbuild::sandbox
