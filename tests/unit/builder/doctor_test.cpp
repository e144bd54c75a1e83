#include "builder/sandbox/advice.hpp"

#include <imgbuild/error.hpp>

#include <cerrno>
#include <cstdlib>
#include <functional>

#include "tests/support/catch.hpp"
#include "util/fd.hpp"
#include "util/files.hpp"

using namespace imgbuild;
using namespace imgbuild::sandbox;

namespace {

UserFacts root_user() {
    return {.who = Who::root,
            .uid = 0,
            .name = "root",
            .has_newuidmap = true,
            .has_newgidmap = true,
            .max_user_namespaces = 63432,
            .container = {}};
}

UserFacts plain_user() {
    UserFacts user = root_user();
    user.who = Who::plain_user;
    user.uid = 1000;
    user.name = "ci";
    user.subordinate_uids = 65536;
    user.subordinate_gids = 65536;
    return user;
}

/// A current Debian with nothing in the way.
HostFacts debian() {
    return {.kernel_release = "6.12.48+deb13-amd64",
            .kernel_major = 6,
            .kernel_minor = 12,
            .is_root = true,
            .ids = StepIds::shifted,
            .overlay = true,
            .mount_proc = true,
            .seccomp_filter = true,
            .cgroups = CgroupLayout::v2,
            .store = "/var/lib/imgbuild",
            .store_file_system = "ext4",
            .open_file_limit = 1048576,
            .oom_score_adjustment = 0,
            .user_notification = true,
            .cgroup_delegated = true,
            .steps = true,
            .user = root_user()};
}

HostFacts for_plain_user() {
    HostFacts facts = debian();
    facts.ids = StepIds::identity;
    facts.cgroup_delegated = false;
    facts.store = "/home/ci/.local/share/imgbuild";
    facts.user = plain_user();
    return facts;
}

/// What is left to be known where no worker can be made.
HostFacts without_worker(HostFacts facts, const char* error) {
    facts.worker_error = error;
    facts.is_root = facts.user.uid == 0;
    facts.ids = StepIds::none;
    facts.overlay = false;
    facts.mount_proc = false;
    facts.steps = false;
    return facts;
}

HostFacts with_old_kernel() {
    HostFacts facts = debian();
    facts.kernel_release = "5.15.0-139-generic";
    facts.kernel_major = 5;
    facts.kernel_minor = 15;
    facts.ids = StepIds::identity;
    facts.overlay = false;
    return facts;
}

HostFacts in_container() {
    HostFacts facts = debian();
    facts.ids = StepIds::identity;
    facts.store_file_system = "overlay";
    facts.cgroup_delegated = false;
    facts.user.who = Who::container_root;
    facts.user.container = "docker";
    return facts;
}

HostFacts in_plain_container() {
    HostFacts facts = in_container();
    facts.user.namespace_error = EPERM;
    return without_worker(std::move(facts), "machine.no-user-namespaces");
}

HostFacts in_privileged_container() {
    HostFacts facts = in_container();
    facts.overlay = false;
    facts.overlay_in_memory = true;
    return facts;
}

HostFacts for_user_without_ids() {
    HostFacts facts = for_plain_user();
    facts.user.subordinate_uids = 0;
    facts.user.subordinate_gids = 0;
    return without_worker(std::move(facts), "machine.no-subordinate-ids");
}

HostFacts for_user_without_newuidmap() {
    HostFacts facts = for_plain_user();
    facts.user.has_newuidmap = false;
    facts.user.has_newgidmap = false;
    return without_worker(std::move(facts), "machine.no-newuidmap");
}

HostFacts on_ubuntu_with_apparmor() {
    HostFacts facts = for_plain_user();
    facts.kernel_release = "6.8.0-60-generic";
    facts.kernel_minor = 8;
    facts.user.apparmor_restricts = true;
    facts.user.namespace_error = EACCES;
    return without_worker(std::move(facts), "machine.no-user-namespaces");
}

HostFacts with_masked_proc() {
    HostFacts facts = in_container();
    facts.store_file_system = "ext4";
    facts.mount_proc = false;
    return facts;
}

HostFacts with_store_on_nfs() {
    HostFacts facts = for_plain_user();
    facts.store = "/nfs/home/ci/.local/share/imgbuild";
    facts.store_file_system = "nfs";
    facts.overlay = false;
    return facts;
}

HostFacts without_overlay() {
    HostFacts facts = debian();
    facts.overlay = false;
    return facts;
}

HostFacts without_mounts() {
    HostFacts facts = in_container();
    facts.overlay = false;
    facts.mount_proc = false;
    facts.steps = false;
    return facts;
}

HostFacts with_read_only_store() {
    HostFacts facts = for_plain_user();
    facts.store_writable = false;
    return without_worker(std::move(facts), "");
}

void check_golden(const std::string& name, const std::string& actual) {
    const std::string path = "testdata/doctor/" + name;
    if (std::getenv("IMGBUILD_ACCEPT") != nullptr) {
        util::AtomicFile file(path);
        file.write(actual);
        file.commit();
        FAIL("golden rewritten: " << path);
    }
    CHECK(actual == util::read_file(path, std::size_t{1} << 20U));
}

using Machine = std::function<HostFacts()>;

}  // namespace

TEST_CASE("the doctor's report on a machine prints as its golden") {
    const auto [name, machine] = GENERATE(table<std::string, Machine>({
        {"root-debian.txt", debian},
        {"root-old-kernel.txt", with_old_kernel},
        {"container.txt", in_plain_container},
        {"container-privileged.txt", in_privileged_container},
        {"plain-user.txt", for_plain_user},
        {"plain-user-no-subuid.txt", for_user_without_ids},
        {"plain-user-no-newuidmap.txt", for_user_without_newuidmap},
        {"ubuntu-apparmor.txt", on_ubuntu_with_apparmor},
        {"masked-proc.txt", with_masked_proc},
        {"store-on-nfs.txt", with_store_on_nfs},
        {"no-overlay.txt", without_overlay},
        {"no-mounts.txt", without_mounts},
        {"store-read-only.txt", with_read_only_store},
    }));
    check_golden(name, render_text(machine()));
}

TEST_CASE("the doctor's report for programs prints as its golden") {
    check_golden("plain-user.json", render_json(for_plain_user()));
}

TEST_CASE("whatever is missing, the report has a code and a remedy for it") {
    const auto machine =
        GENERATE(as<Machine>{}, with_old_kernel, in_plain_container, in_privileged_container, for_user_without_ids,
                 for_user_without_newuidmap, on_ubuntu_with_apparmor, with_masked_proc, with_store_on_nfs,
                 without_overlay, without_mounts, with_read_only_store);
    for (const Answer& answer : examine(machine())) {
        INFO(answer.question);
        CHECK((answer.grade == Grade::missing) == !answer.code.empty());
        CHECK((answer.grade == Grade::good || answer.grade == Grade::unknown || !answer.remedy.empty()));
    }
}

TEST_CASE("a machine that the doctor finds fit is one that steps are tried on") {
    const auto machine = GENERATE(as<Machine>{}, debian, for_plain_user, with_old_kernel, in_privileged_container,
                                  with_masked_proc, with_store_on_nfs, without_overlay);
    CHECK(can_build(examine(machine())));
    CHECK_NOTHROW(require_steps(machine()));
}

TEST_CASE("each machine gets the best root that it has") {
    CHECK(best_root(debian()) == RootForm::overlay);
    CHECK(best_root(in_privileged_container()) == RootForm::overlay_in_memory);
    CHECK(best_root(without_overlay()) == RootForm::copy);
}

TEST_CASE("the error of a build says what the doctor's report says") {
    const auto machine = GENERATE(as<Machine>{}, in_plain_container, for_user_without_ids, on_ubuntu_with_apparmor);
    const HostFacts facts = machine();
    CHECK_FALSE(can_build(examine(facts)));
    try {
        require_steps(facts);
        FAIL("nothing was thrown");
    } catch (const Error& error) {
        CHECK(error.code() == facts.worker_error);
        CHECK_THAT(error.hint(), Catch::Contains("imgbuild doctor"));
    }
}

TEST_CASE("each way to forbid user namespaces has its own remedy") {
    UserFacts user = plain_user();
    user.namespace_error = EPERM;
    const auto [change, remedy] = GENERATE(table<std::function<void(UserFacts&)>, std::string>({
        {[](UserFacts& u) { u.clone_forbidden = true; }, "kernel.unprivileged_userns_clone=1"},
        {[](UserFacts& u) { u.apparmor_restricts = true; }, "kernel.apparmor_restrict_unprivileged_userns=0"},
        {[](UserFacts& u) { u.max_user_namespaces = 0; }, "user.max_user_namespaces"},
        {[](UserFacts& u) { u.namespace_error = ENOSPC; }, "user.max_user_namespaces"},
        {[](UserFacts& u) { u.max_user_namespaces.reset(); }, "CONFIG_USER_NS"},
        {[](UserFacts& u) { u.container = "docker"; }, "seccomp=unconfined"},
    }));
    change(user);
    CHECK_THAT(no_user_namespaces(user).hint, Catch::Contains(remedy));
}
