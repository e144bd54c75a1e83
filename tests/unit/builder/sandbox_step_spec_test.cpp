#include "builder/sandbox/step_spec.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

using namespace imgbuild;
using namespace imgbuild::sandbox;

namespace {

StepSpec with_mounts(std::vector<Mount> mounts) {
    StepSpec spec;
    spec.mounts = std::move(mounts);
    return spec;
}

}  // namespace

TEST_CASE("a plain step needs the kernel's directories") {
    CHECK(required_mount_points({}) == std::vector<MountPoint>{{"/dev", NodeKind::directory},
                                                               {"/proc", NodeKind::directory},
                                                               {"/sys", NodeKind::directory}});
}

TEST_CASE("mount points are cleaned, sorted with parents first, and named once") {
    StepSpec spec = with_mounts({BindMount{.source = "/s", .target = "/a/b//c/", .kind = NodeKind::file},
                                 TmpfsMount{.target = "/a/./b"}, TmpfsMount{.target = "/a/b"}});
    spec.hosts = "x";
    CHECK(required_mount_points(spec) == std::vector<MountPoint>{{"/a/b", NodeKind::directory},
                                                                 {"/a/b/c", NodeKind::file},
                                                                 {"/dev", NodeKind::directory},
                                                                 {"/etc/hosts", NodeKind::file},
                                                                 {"/proc", NodeKind::directory},
                                                                 {"/sys", NodeKind::directory}});
}

TEST_CASE("mount targets that would escape, or uncover what is masked, are refused") {
    const auto target =
        GENERATE("", "relative", "/", "/.", "/a/../proc", "/..", "/proc", "/proc/sys", "/sys/x", "/dev", "/dev/null");
    try {
        required_mount_points(with_mounts({TmpfsMount{.target = target}}));
        FAIL("accepted: " << target);
    } catch (const UsageError& error) {
        CHECK(error.code() == "usage.bad-mount-target");
    }
}

TEST_CASE("names that only begin like the kernel's directories are ordinary") {
    CHECK_NOTHROW(
        required_mount_points(with_mounts({TmpfsMount{.target = "/process"}, TmpfsMount{.target = "/srv/proc"}})));
}

TEST_CASE("/dev/shm can be asked for, and is there already") {
    CHECK(required_mount_points(with_mounts({TmpfsMount{.target = "/dev/shm"}})).size() == 3);
}

TEST_CASE("a target inside an earlier mount's target needs no place in the image") {
    const StepSpec spec = with_mounts({TmpfsMount{.target = "/a"}, SecretMount{.target = "/a/b/key"},
                                       TmpfsMount{.target = "/ab"}, TmpfsMount{.target = "/a"}});
    CHECK(required_mount_points(spec) == std::vector<MountPoint>{{"/a", NodeKind::directory},
                                                                 {"/ab", NodeKind::directory},
                                                                 {"/dev", NodeKind::directory},
                                                                 {"/proc", NodeKind::directory},
                                                                 {"/sys", NodeKind::directory}});
    const std::vector<PlacedMount> placed = placed_mounts(spec);
    CHECK(placed[0].has_others_inside);
    CHECK(placed[1].inside_another);
    CHECK_FALSE(placed[2].inside_another);
    CHECK_FALSE(placed[3].inside_another);
}

TEST_CASE("limits have the names that people know") {
    CHECK(resource_number("nofile").has_value());
    CHECK_FALSE(resource_number("files").has_value());
}

TEST_CASE("one place cannot be a file and a directory") {
    CHECK_THROWS_AS(
        required_mount_points(with_mounts(
            {BindMount{.source = "/s", .target = "/a", .kind = NodeKind::file}, TmpfsMount{.target = "/a"}})),
        UsageError);
}
