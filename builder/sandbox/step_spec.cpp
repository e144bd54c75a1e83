#include "builder/sandbox/step_spec.hpp"

#include <imgbuild/error.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "util/text.hpp"

#include <fmt/core.h>

namespace imgbuild::sandbox {
namespace {

[[noreturn]] void refuse(const std::string& target, const char* reason, std::string hint = {}) {
    throw UsageError({.code = "usage.bad-mount-target",
                      .message = fmt::format("cannot mount at {}: {}", util::quote(target), reason),
                      .hint = std::move(hint),
                      .where = {}});
}

/// "/a//b/./c/" → "/a/b/c". Unlike arithmetic with "..", this never changes what a path with symbolic links means.
std::string clean_target(const std::string& target) {
    if (target.empty() || target.front() != '/') refuse(target, "not an absolute path");
    if (target.find('\0') != std::string::npos) refuse(target, "it contains a NUL byte");
    std::string cleaned;
    for (const std::string_view component : util::split(target, '/')) {
        if (component.empty() || component == ".") continue;
        if (component == "..") refuse(target, "it contains '..'");
        cleaned += '/';
        cleaned += component;
    }
    if (cleaned.empty()) refuse(target, "it is the root of the step");
    return cleaned;
}

bool is_at_or_below(std::string_view path, std::string_view directory) {
    return path == directory || (path.starts_with(directory) && path.substr(directory.size()).starts_with("/"));
}

/// /proc and /sys are the kernel's: nothing may cover the masks in them. Below /dev a place of the step's own is
/// harmless, but its mount point would have to be made in our tmpfs.
void check_owned(const std::string& target) {
    for (const char* owned : {"/proc", "/sys", "/dev"}) {
        if (is_at_or_below(target, owned) && target != "/dev/shm") {
            refuse(target, "the sandbox owns this directory", "choose a target outside /proc, /sys and /dev");
        }
    }
}

struct TargetOf {
    MountPoint operator()(const BindMount& bind) const { return {clean_target(bind.target), bind.kind}; }
    MountPoint operator()(const TreeMount& tree) const { return {clean_target(tree.target), tree.kind}; }
    MountPoint operator()(const TmpfsMount& tmpfs) const { return {clean_target(tmpfs.target), NodeKind::directory}; }
    MountPoint operator()(const SecretMount& secret) const { return {clean_target(secret.target), NodeKind::file}; }
};

void add(std::vector<MountPoint>& points, MountPoint point) {
    const auto same = [&](const MountPoint& other) { return other.path == point.path; };
    if (const auto found = std::find_if(points.begin(), points.end(), same); found != points.end()) {
        if (found->kind != point.kind) refuse(point.path, "it is asked for both as a file and as a directory");
        return;
    }
    points.push_back(std::move(point));
}

}  // namespace

std::vector<PlacedMount> placed_mounts(const StepSpec& spec) {
    std::vector<PlacedMount> out;
    for (const Mount& mount : spec.mounts) {
        PlacedMount placed{.point = std::visit(TargetOf{}, mount)};
        for (PlacedMount& earlier : out) {
            if (earlier.point.path == placed.point.path || !is_at_or_below(placed.point.path, earlier.point.path)) {
                continue;
            }
            placed.inside_another = true;
            earlier.has_others_inside = true;
        }
        out.push_back(std::move(placed));
    }
    return out;
}

std::optional<std::uint32_t> resource_number(std::string_view name) {
    constexpr std::pair<std::string_view, int> kNames[] = {
        {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
        {"data", RLIMIT_DATA},       {"fsize", RLIMIT_FSIZE},       {"locks", RLIMIT_LOCKS},
        {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
        {"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},       {"rss", RLIMIT_RSS},
        {"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
        {"stack", RLIMIT_STACK}};
    for (const auto& [known, number] : kNames) {
        if (known == name) return static_cast<std::uint32_t>(number);
    }
    return std::nullopt;
}

std::vector<MountPoint> required_mount_points(const StepSpec& spec) {
    std::vector<MountPoint> points = {
        {"/dev", NodeKind::directory}, {"/proc", NodeKind::directory}, {"/sys", NodeKind::directory}};
    if (!spec.resolv_conf.empty()) add(points, {"/etc/resolv.conf", NodeKind::file});
    if (!spec.hosts.empty()) add(points, {"/etc/hosts", NodeKind::file});
    for (const PlacedMount& placed : placed_mounts(spec)) {
        check_owned(placed.point.path);
        // The sandbox makes /dev/shm itself, so nobody else has to.
        if (!placed.inside_another && placed.point.path != "/dev/shm") add(points, placed.point);
    }
    std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    return points;
}

}  // namespace imgbuild::sandbox
