#include "builder/sandbox/step_spec.hpp"

#include <imgbuild/error.hpp>

#include <algorithm>
#include <string_view>

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
    MountPoint operator()(const TmpfsMount& tmpfs) const { return {clean_target(tmpfs.target), NodeKind::directory}; }
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

std::vector<MountPoint> required_mount_points(const StepSpec& spec) {
    std::vector<MountPoint> points = {
        {"/dev", NodeKind::directory}, {"/proc", NodeKind::directory}, {"/sys", NodeKind::directory}};
    if (!spec.resolv_conf.empty()) add(points, {"/etc/resolv.conf", NodeKind::file});
    if (!spec.hosts.empty()) add(points, {"/etc/hosts", NodeKind::file});
    for (const Mount& mount : spec.mounts) {
        MountPoint point = std::visit(TargetOf{}, mount);
        check_owned(point.path);
        // The sandbox makes /dev/shm itself, so nobody else has to.
        if (point.path != "/dev/shm") add(points, std::move(point));
    }
    std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    return points;
}

}  // namespace imgbuild::sandbox
