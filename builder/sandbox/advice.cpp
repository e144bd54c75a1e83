#include "builder/sandbox/advice.hpp"

#include <imgbuild/error.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "util/text.hpp"

#include <fmt/core.h>

namespace imgbuild::sandbox {
namespace {

constexpr const char* kUnknown = "cannot be told before what is missing is there";

bool is_older_than(const HostFacts& facts, int major, int minor) {
    return std::pair(facts.kernel_major, facts.kernel_minor) < std::pair(major, minor);
}

bool is_inside_container(const UserFacts& user) {
    return !user.container.empty();
}

std::string store_hint() {
    return "export IMGBUILD_ROOT=/var/tmp/imgbuild (or another directory on a local ext4, xfs or btrfs)";
}

std::string container_hint(const UserFacts& user, std::string_view docker_option) {
    if (user.container == "kubernetes") return "securityContext of the pod: procMount: Unmasked, hostUsers: false";
    return fmt::format("start the container with {} (docker, podman)", docker_option);
}

Answer ask_kernel_age(const HostFacts& facts) {
    Answer out{.question = "kernel", .answer = fmt::format("Linux {}", facts.kernel_release)};
    if (is_older_than(facts, 6, 7)) {
        out.grade = Grade::limited;
        out.consequence = "before Linux 6.7 an overlay cannot be given its layers one by one";
        out.remedy = "a newer kernel (Debian 12: apt-get install -t bookworm-backports linux-image-amd64)";
    }
    return out;
}

/// Why enter_worker() did not get through, in the words of its error.
std::optional<Lack> lack_of_user(const HostFacts& facts) {
    const UserFacts& user = facts.user;
    if (facts.worker_error == "machine.no-subordinate-ids") {
        return no_subordinate_ids(user, user.subordinate_uids == 0 ? "/etc/subuid" : "/etc/subgid");
    }
    if (facts.worker_error == "machine.no-newuidmap") {
        return no_map_program(user.has_newuidmap ? "newgidmap" : "newuidmap");
    }
    if (facts.worker_error == "machine.newuidmap-failed") return map_program_failed(user, "it was refused");
    return std::nullopt;
}

void take(Answer& answer, Lack lack) {
    answer.grade = Grade::missing;
    answer.consequence = std::move(lack.message);
    answer.remedy = std::move(lack.hint);
    answer.code = std::move(lack.code);
}

Answer ask_who(const HostFacts& facts) {
    const UserFacts& user = facts.user;
    Answer out{.question = "user"};
    switch (user.who) {
        case Who::root:
            out.answer = "root";
            return out;
        case Who::container_root:
            out.answer = fmt::format("root in a container ({})", user.container);
            return out;
        case Who::plain_user:
            break;
    }
    out.answer = fmt::format("{}, a plain user with {} subordinate user ids and {} group ids", shown_name(user),
                             user.subordinate_uids, user.subordinate_gids);
    if (auto lack = lack_of_user(facts)) {
        take(out, std::move(*lack));
    } else if (std::min(user.subordinate_uids, user.subordinate_gids) < 65535) {
        out.grade = Grade::limited;
        out.consequence = "images with ids beyond that, such as 65534 (nobody), cannot be stored as they are";
        out.remedy = fmt::format("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {}",
                                 shown_name(user));
    }
    return out;
}

bool lacks_namespaces(const HostFacts& facts) {
    // Without a place to try in, the ids are unknown.
    const bool tried = facts.worker_error.empty() && facts.store_writable;
    return facts.worker_error == "machine.no-user-namespaces" || facts.user.namespace_error != 0 ||
           (tried && facts.ids == StepIds::none);
}

Answer ask_namespaces(const HostFacts& facts) {
    Answer out{.question = "user namespaces", .answer = "allowed"};
    if (!lacks_namespaces(facts)) return out;
    out.answer = "forbidden";
    take(out, no_user_namespaces(facts.user));
    return out;
}

/// A question that only a worker can answer.
Answer unknown(const char* question) {
    return {.question = question, .answer = kUnknown, .grade = Grade::unknown};
}

bool has_worker(const HostFacts& facts) {
    return facts.worker_error.empty() && facts.ids != StepIds::none;
}

bool has_idmapped_mounts(const std::string& file_system) {
    return file_system == "ext4" || file_system == "xfs" || file_system == "btrfs";
}

Answer ask_ids(const HostFacts& facts) {
    if (!has_worker(facts)) return unknown("ids of a step");
    Answer out{.question = "ids of a step"};
    if (facts.ids == StepIds::shifted) {
        out.answer = "shifted: root of a step is nobody outside";
    } else if (facts.user.who == Who::plain_user) {
        out.answer = "subordinate: root of a step is the user, others are his subordinate ids";
    } else {
        out.answer = "as outside: root of a step is uid 0, in a namespace without rights outside";
        out.grade = Grade::limited;
        out.consequence = "whatever a step reaches in spite of the sandbox, it reaches with uid 0";
        out.remedy = is_older_than(facts, 5, 19) ? "Linux 5.19 or newer, which has idmapped mounts for overlays"
                     : has_idmapped_mounts(facts.store_file_system) ? "build outside of containers, or as a plain user"
                                                                    : store_hint();
    }
    return out;
}

std::string overlay_hint(const HostFacts& facts) {
    return is_older_than(facts, 6, 7) ? "Linux 6.7 or newer" : store_hint();
}

/// User namespaces alone are of no use.
Lack no_mounts(const HostFacts& facts) {
    Lack out{.code = "machine.no-mounts",
             .message = "nothing can be mounted in a user namespace",
             .hint = "something around this process forbids it, such as a seccomp filter or a security module"};
    if (is_inside_container(facts.user)) {
        out.hint = container_hint(facts.user, "--security-opt seccomp=unconfined --security-opt apparmor=unconfined");
    }
    return out;
}

Answer ask_root(const HostFacts& facts) {
    if (!has_worker(facts)) return unknown("root file system");
    Answer out{.question = "root file system"};
    if (!facts.steps) {
        out.answer = "none";
        take(out, no_mounts(facts));
        return out;
    }
    switch (best_root(facts)) {
        case RootForm::overlay:
            out.answer = "overlay, with its changes directly in the store";
            return out;
        case RootForm::overlay_in_memory:
            out.answer =
                fmt::format("overlay, with its changes in memory, since the store is on {}", facts.store_file_system);
            out.consequence =
                "a step can write half of the memory at most, and after a layer that removes files it gets a copy of "
                "the whole image";
            break;
        case RootForm::copy:
            out.answer = "a copy, since no overlay can be mounted";
            out.consequence = "each RUN copies the whole image first; btrfs and xfs share the copy's blocks";
            break;
    }
    out.grade = Grade::limited;
    out.remedy = overlay_hint(facts);
    return out;
}

Answer ask_proc(const HostFacts& facts) {
    if (!has_worker(facts) || !facts.steps) return unknown("/proc");
    Answer out{.question = "/proc", .answer = "of the step's own"};
    if (facts.mount_proc) return out;
    out.answer = "the one around us, read-only, since parts of it are covered";
    out.grade = Grade::limited;
    out.consequence = "steps see the processes around the build, and cannot make devices or set attributes of files";
    out.remedy = is_inside_container(facts.user) ? container_hint(facts.user, "--security-opt systempaths=unconfined")
                                                 : "umount what is mounted below /proc (findmnt -R /proc)";
    return out;
}

Lack no_filters() {
    return {.code = "machine.no-seccomp",
            .message = "this kernel takes no seccomp filters",
            .hint = "a kernel with CONFIG_SECCOMP_FILTER=y"};
}

Answer ask_filters(const HostFacts& facts) {
    Answer out{.question = "seccomp", .answer = "filters and user notification"};
    if (!facts.seccomp_filter) {
        out.answer = "no filters";
        take(out, no_filters());
    } else if (!facts.user_notification) {
        out.answer = "filters, but no user notification";
        out.grade = Grade::limited;
        out.consequence = "steps cannot make devices (mknod)";
        out.remedy = "Linux 5.9 or newer, and no filter around us that forbids it";
    }
    return out;
}

Answer ask_cgroups(const HostFacts& facts) {
    Answer out{.question = "control groups"};
    switch (facts.cgroups) {
        case CgroupLayout::none:
            out.answer = "none";
            break;
        case CgroupLayout::v1:
            out.answer = "version 1";
            break;
        case CgroupLayout::hybrid:
            out.answer = "versions 1 and 2 mixed";
            break;
        case CgroupLayout::v2:
            out.answer = facts.cgroup_delegated ? "version 2, ours to divide" : "version 2, not ours to divide";
            break;
    }
    return out;
}

bool is_network(const std::string& file_system) {
    constexpr std::array kNetwork = {"nfs", "cifs", "9p", "ceph", "afs"};
    return std::find(kNetwork.begin(), kNetwork.end(), file_system) != kNetwork.end();
}

Answer ask_store(const HostFacts& facts) {
    Answer out{.question = "store",
               .answer = fmt::format("{} on {}", util::quote(facts.store), facts.store_file_system)};
    if (!facts.store_writable) {
        take(out, {.code = "io.permission",
                   .message = "nothing can be made there",
                   .hint = "export IMGBUILD_ROOT=DIR, a directory that you may write"});
    } else if (is_network(facts.store_file_system)) {
        out.grade = Grade::limited;
        out.consequence =
            "slow, its index needs locks that such file systems may not have, and subordinate ids cannot be stored";
        out.remedy = store_hint();
    } else if (facts.store_file_system == "tmpfs") {
        out.grade = Grade::limited;
        out.consequence = "takes memory, and is empty after a restart";
        out.remedy = store_hint();
    }
    return out;
}

}  // namespace

void throw_lack(Lack lack) {
    throw Error(
        {.code = std::move(lack.code), .message = std::move(lack.message), .hint = std::move(lack.hint), .where = {}});
}

Lack no_subordinate_ids(const UserFacts& user, std::string_view file) {
    return {.code = "machine.no-subordinate-ids",
            .message = fmt::format("user {} has no subordinate ids in {}, and an image has files of many owners",
                                   util::quote(shown_name(user)), file),
            .hint = fmt::format("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {} (ranges "
                                "that nobody else has)",
                                shown_name(user))};
}

Lack no_map_program(std::string_view program) {
    return {.code = "machine.no-newuidmap",
            .message = fmt::format("building as a plain user needs {}, which is not installed", program),
            .hint = "as root: apt-get install uidmap (Debian, Ubuntu) or dnf install shadow-utils (Fedora)"};
}

Lack map_program_failed(const UserFacts& user, std::string_view said) {
    return {.code = "machine.newuidmap-failed",
            .message = fmt::format("newuidmap cannot write the id map of this process: {}", said),
            .hint = fmt::format("as root: chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap (or setcap as the "
                                "distribution does), and let /etc/subuid and /etc/subgid give user {} the ranges that "
                                "it names",
                                util::quote(shown_name(user)))};
}

Lack no_overlay(const HostFacts& facts) {
    return {.code = "machine.no-overlay",
            .message = fmt::format("no overlay can be mounted in a user namespace with its upper directory on {}",
                                   facts.store_file_system),
            .hint = overlay_hint(facts) + ", or --snapshotter=copy"};
}

Lack no_user_namespaces(const UserFacts& user) {
    Lack out{.code = "machine.no-user-namespaces",
             .message = "this machine does not let us make user namespaces",
             .hint = "something around this process forbids it, such as a seccomp filter or a security module"};
    if (user.namespace_error != 0) out.message += fmt::format(": {}", std::strerror(user.namespace_error));
    if (!user.max_user_namespaces) {
        out.hint = "a kernel with CONFIG_USER_NS=y";
    } else if (user.max_user_namespaces == 0 || user.namespace_error == ENOSPC) {
        out.hint = "as root: sysctl user.max_user_namespaces=15000";
    } else if (user.who == Who::plain_user && user.clone_forbidden) {
        out.hint = "as root: sysctl kernel.unprivileged_userns_clone=1";
    } else if (user.who == Who::plain_user && user.apparmor_restricts) {
        out.hint =
            "AppArmor allows them to known programs only: give imgbuild a profile with 'userns,' (docs/cli/doctor.md), "
            "or as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0";
    } else if (is_inside_container(user)) {
        out.hint = container_hint(user,
                                  "--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt "
                                  "systempaths=unconfined --cap-add SYS_ADMIN");
    }
    return out;
}

std::vector<Answer> examine(const HostFacts& facts) {
    return {ask_kernel_age(facts), ask_who(facts),     ask_namespaces(facts), ask_ids(facts),  ask_root(facts),
            ask_proc(facts),       ask_filters(facts), ask_cgroups(facts),    ask_store(facts)};
}

bool can_build(const std::vector<Answer>& answers) {
    return std::none_of(answers.begin(), answers.end(),
                        [](const Answer& answer) { return answer.grade == Grade::missing; });
}

void require_steps(const HostFacts& facts) {
    for (Answer& answer : examine(facts)) {
        if (answer.grade != Grade::missing) continue;
        throw_lack({.code = std::move(answer.code),
                    .message = std::move(answer.consequence),
                    .hint = std::move(answer.remedy) + "; `imgbuild doctor` tells more"});
    }
}

}  // namespace imgbuild::sandbox
