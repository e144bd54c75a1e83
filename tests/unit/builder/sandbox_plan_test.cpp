#include "builder/sandbox/plan.hpp"

#include <imgbuild/error.hpp>

#include <cstdlib>
#include <fstream>

#include "builder/sandbox/seccomp_profile.hpp"
#include "builder/sandbox/wire.hpp"
#include "tests/support/catch.hpp"
#include "util/fd.hpp"
#include "util/files.hpp"

using namespace imgbuild;
using namespace imgbuild::sandbox;

namespace {

HostFacts facts() {
    return {.kernel_release = "6.18.0",
            .kernel_major = 6,
            .kernel_minor = 18,
            .is_root = true,
            .ids = StepIds::identity,
            .overlay = true,
            .mount_proc = true,
            .seccomp_filter = true,
            .cgroups = CgroupLayout::v2,
            .store = "/store",
            .store_file_system = "ext4",
            .open_file_limit = 1048576,
            .oom_score_adjustment = 0};
}

StepSpec plain() {
    StepSpec spec;
    spec.args = {"/bin/sh", "-c", "make"};
    spec.env = {"PATH=/usr/bin:/bin"};
    spec.lowers = {"/store/layers/b", "/store/layers/a"};
    spec.upper = "/store/tmp/1/upper";
    spec.work = "/store/tmp/1/work";
    return spec;
}

StepSpec rich() {
    StepSpec spec = plain();
    spec.workdir = "/src";
    spec.uid = 1000;
    spec.gid = 1001;
    spec.groups = {27, 44};
    spec.network = NetworkMode::none;
    spec.resolv_conf = "nameserver 10.0.0.1\n";
    spec.hosts = "127.0.0.1 localhost\n";
    spec.mounts = {
        BindMount{.source = "/store/layers/c/src", .target = "/src"},
        BindMount{.source = "/store/x", .target = "/x", .access = Access::read_write, .kind = NodeKind::file},
        TmpfsMount{.target = "/tmp", .size = 1048576},
        TmpfsMount{.target = "/quiet", .mode = 0700},
        TreeMount{.lowers = {"/store/layers/e", "/store/layers/d"},
                  .upper = "/store/tmp/2/upper",
                  .work = "/store/tmp/2/work",
                  .source = "usr/share",
                  .target = "/share"},
        BindMount{.source = "/store/mounts/1/0/data", .target = "/share/cache", .access = Access::read_write},
        SecretMount{.secret = 0, .target = "/run/secrets/key", .mode = 0440, .uid = 5, .gid = 6}};
    spec.secrets = {-1, -1};
    spec.secret_env = {{.name = "TOKEN", .secret = 1}};
    spec.env.push_back("TOKEN=of the image");
    spec.scripts = {{.name = "EOF", .text = "#!/bin/awk -f\n"}};
    spec.limits.more = {{.name = "nproc", .soft = 10, .hard = 20}};
    return spec;
}

void check_golden(const std::string& name, const std::string& actual) {
    const std::string path = "testdata/sandbox/" + name;
    if (std::getenv("IMGBUILD_ACCEPT") != nullptr) {
        util::AtomicFile file(path);
        file.write(actual);
        file.commit();
        FAIL("golden rewritten: " << path);
    }
    CHECK(actual == util::read_file(path, std::size_t{1} << 20U));
}

}  // namespace

TEST_CASE("the plan of a plain step prints as its golden") {
    check_golden("plain.json", to_json(plan_sandbox(plain(), facts())));
}

TEST_CASE("the plan of a step with everything prints as its golden") {
    check_golden("rich.json", to_json(plan_sandbox(rich(), facts())));
}

TEST_CASE("the plan of a step with shifted ids prints as its golden") {
    HostFacts host = facts();
    host.ids = StepIds::shifted;
    check_golden("shifted.json", to_json(plan_sandbox(rich(), host)));
}

TEST_CASE("the plan of a step on a machine without overlay and proc prints as its golden") {
    HostFacts host = facts();
    host.overlay = false;
    host.mount_proc = false;
    StepSpec spec = plain();
    spec.lowers.clear();
    spec.upper.clear();
    spec.work.clear();
    spec.tree = "/store/tmp/1/work/root";
    spec.mounts = {BindMount{.source = "/store/x", .target = "/x"}};
    check_golden("fallbacks.json", to_json(plan_sandbox(spec, host)));
}

TEST_CASE("a copied root is held before the worker's file systems are left, with shifted ids or without") {
    HostFacts host = facts();
    host.ids = GENERATE(StepIds::identity, StepIds::shifted);
    StepSpec spec = plain();
    spec.tree = "/store/tmp/1/work/root";
    std::size_t held = 0;
    std::size_t left = 0;
    const SandboxPlan plan = plan_sandbox(spec, host);
    for (std::size_t i = 0; i < plan.operations.size(); ++i) {
        const Action& action = plan.operations[i].action;
        CHECK_FALSE(std::holds_alternative<op::MountOverlay<Owned>>(action));
        if (const auto* root = std::get_if<op::HoldRoot<Owned>>(&action)) {
            held = i;
            CHECK(root->source == spec.tree);
            CHECK(root->shifted == (host.ids == StepIds::shifted ? 1U : 0U));
        }
        if (std::holds_alternative<op::EnterUserNamespace<Owned>>(action)) left = i;
    }
    CHECK(held > 0);
    CHECK(held < left);
}

TEST_CASE("with shifted ids, a tree outside of the store is refused by name") {
    HostFacts host = facts();
    host.ids = StepIds::shifted;
    StepSpec spec = plain();
    spec.lowers.push_back("/elsewhere/tree");
    CHECK_THROWS_WITH(plan_sandbox(spec, host), "'/elsewhere/tree' of a step is not in the store '/store'");
}

TEST_CASE("limits are lowered to what the machine gives") {
    HostFacts small = facts();
    small.open_file_limit = 20000;
    const SandboxPlan plan = plan_sandbox(plain(), small);
    const auto& limit = std::get<op::SetLimit<Owned>>(plan.operations.front().action);
    CHECK(limit.soft == 20000);
    CHECK(limit.hard == 20000);
}

TEST_CASE("the step is never less killable than the worker") {
    const auto [worker, step] = GENERATE(table<int, std::uint32_t>({{-900, 0}, {0, 0}, {300, 300}}));
    HostFacts host = facts();
    host.oom_score_adjustment = worker;
    const std::uint32_t expected = step;
    for (const Operation& operation : plan_sandbox(plain(), host).operations) {
        if (const auto* score = std::get_if<op::SetOomScore<Owned>>(&operation.action)) CHECK(score->value == expected);
    }
}

TEST_CASE("a mount inside another one finds its place there, and the outer one is made read-only afterwards") {
    const SandboxPlan plan = plan_sandbox(rich(), facts());
    std::vector<std::string> order;
    for (const Operation& operation : plan.operations) {
        if (const auto* tree = std::get_if<op::AttachTree<Owned>>(&operation.action)) {
            CHECK((tree->flags & op::kReadOnly) == 0);
            order.push_back("tree");
        } else if (const auto* point = std::get_if<op::MakeMountPoint<Owned>>(&operation.action)) {
            CHECK(point->target == "/share/cache");
            order.push_back("place");
        } else if (const auto* flags = std::get_if<op::SetMountFlags<Owned>>(&operation.action)) {
            CHECK(flags->target == "/share");
            CHECK((flags->flags & op::kReadOnly) != 0);
            order.push_back("flags");
        }
    }
    CHECK(order == std::vector<std::string>{"tree", "place", "flags"});
}

TEST_CASE("a secret's variable takes the place of the one that the image has") {
    for (const Operation& operation : plan_sandbox(rich(), facts()).operations) {
        const auto* execute = std::get_if<op::Execute<Owned>>(&operation.action);
        if (execute != nullptr) CHECK(execute->env == std::vector<std::string>{"PATH=/usr/bin:/bin"});
    }
}

TEST_CASE("an insecure step has no user namespace, no filter, no masks, and every capability") {
    StepSpec spec = plain();
    spec.confinement = Confinement::insecure;
    for (const Operation& operation : plan_sandbox(spec, facts()).operations) {
        CHECK_FALSE(std::holds_alternative<op::EnterUserNamespace<Owned>>(operation.action));
        CHECK_FALSE(std::holds_alternative<op::InstallFilter<Owned>>(operation.action));
        CHECK_FALSE(std::holds_alternative<op::MaskPath<Owned>>(operation.action));
        CHECK_FALSE(std::holds_alternative<op::ProtectPath<Owned>>(operation.action));
        const auto* bound = std::get_if<op::BoundCapabilities<Owned>>(&operation.action);
        if (bound != nullptr) CHECK(bound->capabilities == ~std::uint64_t{0});
    }
}

TEST_CASE("/dev/shm is mounted once, by whoever asks for it") {
    StepSpec spec = plain();
    spec.mounts = {TmpfsMount{.target = "/dev/shm", .size = 4096}};
    std::vector<std::vector<std::string>> options;
    for (const Operation& operation : plan_sandbox(spec, facts()).operations) {
        const auto* mount = std::get_if<op::MountFileSystem<Owned>>(&operation.action);
        if (mount != nullptr && mount->target == "/dev/shm") options.push_back(mount->options);
    }
    CHECK(options == std::vector<std::vector<std::string>>{{"size=4096"}});
}

TEST_CASE("the bounding set is docker's default") {
    CHECK(default_capabilities() == 0xa80425fb);
}

TEST_CASE("every operation says why") {
    for (const Operation& operation : plan_sandbox(rich(), facts()).operations) CHECK_FALSE(operation.why.empty());
}

TEST_CASE("a plan comes back from the wire as it was") {
    SandboxPlan plan = plan_sandbox(rich(), facts());
    for (Operation& operation : plan.operations) {
        operation.why.clear();
        if (auto* filter = std::get_if<op::InstallFilter<Owned>>(&operation.action))
            filter->program = std::string("\0\1\2", 3);
    }
    const std::string bytes = encode_plan(plan);
    const SandboxPlan decoded = decode_plan(bytes);
    CHECK(to_json(decoded) == to_json(plan));
    CHECK(encode_plan(decoded) == bytes);
}

TEST_CASE("a cut or altered plan is corrupt data and never read beyond its end") {
    const std::string bytes = encode_plan(plan_sandbox(plain(), facts()));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        // A copy of its own, so that the address sanitizer sees a read beyond it.
        const std::string cut(bytes, 0, size);
        CHECK_THROWS_AS(decode_plan(cut), CorruptData);
    }
    CHECK_THROWS_AS(decode_plan(bytes + "x"), CorruptData);
    std::string other_version = bytes;
    other_version[4] = 99;
    CHECK_THROWS_AS(decode_plan(other_version), CorruptData);
    std::string unknown_operation = bytes;
    unknown_operation[12] = 99;
    CHECK_THROWS_AS(decode_plan(unknown_operation), CorruptData);
}

TEST_CASE("a spec that cannot be carried out is refused by name") {
    const auto broken = [](auto change) {
        StepSpec spec = plain();
        change(spec);
        return spec;
    };
    CHECK_THROWS_WITH(plan_sandbox(broken([](StepSpec& s) { s.args.clear(); }), facts()), "a step has no command");
    CHECK_THROWS_WITH(plan_sandbox(broken([](StepSpec& s) { s.lowers.clear(); }), facts()),
                      "a step has no root file system");
    CHECK_THROWS_WITH(plan_sandbox(broken([](StepSpec& s) { s.workdir = "src"; }), facts()),
                      "working directory of a step is no absolute path: 'src'");
    CHECK_THROWS_WITH(plan_sandbox(broken([](StepSpec& s) { s.secret_env = {{.name = "A", .secret = 0}}; }), facts()),
                      "a step uses a secret that it does not have");
    CHECK_THROWS_AS(plan_sandbox(broken([](StepSpec& s) { s.env = {std::string("A=\0b", 4)}; }), facts()), UsageError);
}

TEST_CASE("the default filter is whole instructions within the kernel's limit") {
    const std::string program = compile_default_filter();
    CHECK(program.size() % 8 == 0);
    CHECK(program.size() / 8 <= 4096);
    CHECK(program.size() / 8 > 50);
}
