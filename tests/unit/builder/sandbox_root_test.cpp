// What a step sees of its root, and what of it lands in the upper directory.
#include <imgbuild/error.hpp>

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "tests/support/catch.hpp"
#include "tests/unit/builder/sandbox_support.hpp"
#include "util/fd.hpp"

using namespace imgbuild;
using namespace imgbuild::sandbox;
using namespace imgbuild::sandbox::test;
using Catch::Contains;

namespace {

std::set<std::string> names_below(const std::string& directory) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
        names.insert(entry.path().lexically_relative(directory));
    }
    return names;
}

struct stat status_of(const std::string& path) {
    struct stat status {};
    REQUIRE(lstat(path.c_str(), &status) == 0);
    return status;
}

}  // namespace

TEST_CASE("changes land in the upper directory in overlay form, and mount points do not") {
    const Workspace workspace;
    const Outcome outcome =
        run(workspace.shell("echo new > /tmp/new && chown 12:34 /tmp/new && rm /etc/old && rm -r /etc/kept && mkdir "
                            "/etc/kept && touch /etc/kept/x"));
    REQUIRE(outcome.err.empty());
    CHECK(names_below(workspace.upper()) ==
          std::set<std::string>{"tmp", "tmp/new", "etc", "etc/old", "etc/kept", "etc/kept/x"});

    const struct stat made = status_of(workspace.upper() + "/tmp/new");
    CHECK(made.st_uid == 12);
    CHECK(made.st_gid == 34);

    const struct stat whiteout = status_of(workspace.upper() + "/etc/old");
    CHECK(S_ISCHR(whiteout.st_mode));
    CHECK(whiteout.st_rdev == makedev(0, 0));

    char opaque = 0;
    CHECK(getxattr((workspace.upper() + "/etc/kept").c_str(), "user.overlay.opaque", &opaque, 1) == 1);
    CHECK(opaque == 'y');
}

TEST_CASE("an upper lower hides a deeper one") {
    const Workspace workspace;
    write_file(workspace.path("newer") + "/etc/old", "from above\n");
    StepSpec step = workspace.step({"cat", "/etc/old"});
    step.lowers.insert(step.lowers.begin(), workspace.path("newer"));
    CHECK(run(step).out == "from above\n");
}

TEST_CASE("trees with long or odd names are mounted") {
    const Workspace workspace;
    const std::string odd = workspace.path("a,b:c\\d " + std::string(200, 'x')) + "/" + std::string(200, 'y');
    write_file(odd + "/etc/odd", "odd\n");
    StepSpec step = workspace.step({"cat", "/etc/odd"});
    step.lowers.insert(step.lowers.begin(), odd);
    CHECK(run(step).out == "odd\n");
}

TEST_CASE("kernel settings and kernel memory are out of reach") {
    const Workspace workspace;
    const Outcome outcome = run(workspace.shell(
        "echo x > /proc/sys/kernel/hostname; echo 1 > /sys/kernel/mm/ksm/run;"
        "echo 0 > /proc/irq/default_smp_affinity; cat /proc/kcore /proc/timer_list /proc/keys | wc -c; ls "
        "/sys/firmware /proc/scsi"));
    CHECK_THAT(outcome.err, Contains("/proc/sys/kernel/hostname: Read-only file system"));
    CHECK_THAT(outcome.err, Contains("/sys/kernel/mm/ksm/run: Read-only file system"));
    CHECK_THAT(outcome.err, Contains("/proc/irq/default_smp_affinity: Read-only file system"));
    CHECK_THAT(outcome.out, Contains("0\n"));
}

TEST_CASE("forbidden calls are refused with an ordinary error") {
    const Workspace workspace;
    const auto script =
        GENERATE("mount -t tmpfs none /tmp", "umount /proc", "mount -o remount,rw /proc/sys", "unshare -U true",
                 "unshare -m true", "mknod /dev/sda b 8 0 && cat /dev/sda", "hostname other", "date -s 2000-01-01");
    const Outcome outcome = run(workspace.shell(script));
    INFO(script << " -> " << outcome.err);
    // Not the exit code: busybox' date says 0 even so.
    CHECK_FALSE(outcome.err.empty());
    CHECK(outcome.result.signal == 0);
}

TEST_CASE("a step sees its own processes only, and cannot look into its init") {
    const Workspace workspace;
    const Outcome outcome =
        run(workspace.shell("ls -d /proc/[0-9]*; ls /proc/1/root /proc/1/fd; kill -9 1; echo alive"));
    CHECK_THAT(outcome.out, Contains("/proc/1\n/proc/2\n"));
    CHECK_THAT(outcome.err, Contains("Permission denied"));
    CHECK_THAT(outcome.out, Contains("alive"));
}

TEST_CASE("the devices that programs need are there and work") {
    const Workspace workspace;
    const Outcome outcome = run(workspace.shell(
        "ls /dev; head -c 3 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; echo x > /dev/null; echo out > "
        "/dev/stdout;"
        "echo y > /dev/full; touch /dev/shm/x && ls /dev/shm; ls -l /dev/ptmx; ls -d /dev/pts/ptmx /dev/mqueue"));
    CHECK_THAT(outcome.out,
               Contains("fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n"
                        "3\n5\nout\nx\n"));
    CHECK_THAT(outcome.err, Contains("No space left on device"));
}

TEST_CASE("resolv.conf and hosts are the builder's, may be written, and never reach the layer") {
    const Workspace workspace;
    StepSpec step = workspace.shell("cat /etc/resolv.conf /etc/hosts; echo more >> /etc/hosts; stat -c %a /etc/hosts");
    step.resolv_conf = "nameserver 10.0.0.1\n";
    step.hosts = "127.0.0.1 localhost\n";
    const Outcome outcome = run(step);
    CHECK(outcome.out == "nameserver 10.0.0.1\n127.0.0.1 localhost\n644\n");
    CHECK(names_below(workspace.upper()).empty());
}

TEST_CASE("a text whose place is a symbolic link in the image lands inside the root") {
    const Workspace workspace;
    std::filesystem::remove(workspace.lower() + "/etc/hosts");
    std::filesystem::create_symlink("../../../../../../etc/old", workspace.lower() + "/etc/hosts");
    StepSpec step = workspace.step({"cat", "/etc/old"});
    step.hosts = "127.0.0.1 localhost\n";
    CHECK(run(step).out == "127.0.0.1 localhost\n");
}

TEST_CASE("directories, files and tmpfs are mounted as asked") {
    const Workspace workspace;
    write_file(workspace.path("shared") + "/inside", "shared\n");
    write_file(workspace.path("one"), "one\n");
    write_file(workspace.lower() + "/mnt/one", "");
    for (const char* name : {"/mnt/ro", "/mnt/rw", "/mnt/tmp"}) util::make_directories(workspace.lower() + name);
    StepSpec step = workspace.shell(
        "cat /mnt/ro/inside /mnt/one; touch /mnt/ro/x; echo y > /mnt/rw/y; stat -c %a /mnt/tmp; echo z > /mnt/tmp/z; "
        "cat /mnt/tmp/z");
    step.mounts = {BindMount{.source = workspace.path("shared"), .target = "/mnt/ro"},
                   BindMount{.source = workspace.path("shared"), .target = "/mnt/rw", .access = Access::read_write},
                   BindMount{.source = workspace.path("one"), .target = "/mnt/one", .kind = NodeKind::file},
                   TmpfsMount{.target = "/mnt/tmp", .size = 1U << 20U, .mode = 01777}};
    const Outcome outcome = run(step);
    CHECK(outcome.out == "shared\none\n1777\nz\n");
    CHECK_THAT(outcome.err, Contains("/mnt/ro/x: Read-only file system"));
    CHECK(util::read_file(workspace.path("shared") + "/y", 16) == "y\n");
    CHECK(names_below(workspace.upper()).empty());
}

TEST_CASE("without a network there is a loopback interface and nothing else") {
    const Workspace workspace;
    StepSpec step = workspace.shell("ip -o link | wc -l; ip -o addr show lo | grep -c 127.0.0.1");
    step.network = NetworkMode::none;
    CHECK(run(step).out == "1\n1\n");
}

TEST_CASE("a mount that the kernel refuses is told with operation, path and reason") {
    const Workspace workspace;
    StepSpec step = workspace.step({"true"});
    step.work = workspace.path("not-there");
    CHECK_THROWS_WITH(run(step), Contains("overlay on '") && Contains("No such file or directory"));
}

TEST_CASE("a step leaves the worker's mounts alone") {
    const auto mounts = [] { return util::read_file("/proc/self/mountinfo", std::size_t{1} << 20U); };
    const Workspace workspace;
    const std::string before = mounts();
    run(workspace.step({"true"}));
    CHECK(mounts() == before);
}
