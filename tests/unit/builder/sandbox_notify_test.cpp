// Devices and extended attributes of steps, which PID 1 answers in the kernel's place.
#include <imgbuild/error.hpp>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "tests/support/catch.hpp"
#include "tests/unit/builder/sandbox_support.hpp"
#include "util/rooted_dir.hpp"

using namespace imgbuild;
using namespace imgbuild::sandbox;
using namespace imgbuild::sandbox::test;
using Catch::Contains;

namespace {

class Room : public Workspace {
public:
    Room() { std::filesystem::copy_file(IMGBUILD_STEP_TOOL, lower() + "/bin/tool"); }

    StepSpec as_user(std::string script) const {
        StepSpec spec = shell(std::move(script));
        spec.uid = 1000;
        spec.gid = 1000;
        return spec;
    }

    /// "type-and-mode size note" of what the last step made.
    std::string made(const std::string& name) const {
        const auto upper_root = util::RootedDir::open(upper());
        const auto status = upper_root.stat(name, util::Follow::no);
        if (!status) return "nothing";
        char text[64];
        std::snprintf(text, sizeof(text), "%o %u:%u ", status->st_mode, status->st_uid, status->st_gid);
        const auto fd = upper_root.open_file(name, O_PATH, util::Follow::no);
        const auto xattrs = util::read_xattrs(fd.get(), name);
        const auto note = xattrs.find("user.imgbuild.device");
        return text + (note == xattrs.end() ? "plain" : note->second);
    }

    std::string owner_note(const std::string& name) const {
        const auto fd = util::RootedDir::open(upper()).open_file(name, O_PATH, util::Follow::no);
        const auto xattrs = util::read_xattrs(fd.get(), name);
        const auto note = xattrs.find("user.imgbuild.owner");
        return note == xattrs.end() ? "none" : note->second;
    }
};

/// Runs `body` in a copy of this process, which may then be spoilt, and hands on what it printed.
std::string in_copy(const std::function<std::string()>& body) {
    util::Pipe pipe = util::make_pipe();
    const pid_t pid = fork();
    if (pid == 0) {
        std::string text;
        try {
            text = body();
        } catch (const std::exception& error) {
            text = std::string("failed: ") + error.what();
        }
        util::write_all(pipe.write.get(), text, "pipe");
        _exit(0);
    }
    pipe.write.reset();
    std::string text = util::read_all(pipe.read.get(), std::size_t{1} << 20U, "pipe");
    waitpid(pid, nullptr, 0);
    return text;
}

/// For this process and all that it starts: `number` is answered with `action`. Returns the listener, if asked for.
int filter(long number, std::uint32_t action, unsigned long flags) {
    sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(steps), steps};
    return util::check(static_cast<int>(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program)), "install",
                       "a filter");
}

}  // namespace

TEST_CASE("a device that a step makes is a note on an empty file") {
    const Room room;
    const Outcome outcome = run(room.shell("mknod /null c 1 3 && mknod -m 600 tmp/disk b 8 300 && mkfifo /tmp/pipe"));
    CHECK(outcome.err.empty());
    CHECK(outcome.result.succeeded());
    CHECK(room.made("null") == "100644 0:0 c 1 3");
    CHECK(room.made("tmp/disk") == "100600 0:0 b 8 300");
    CHECK(room.made("tmp/pipe") == "10644 0:0 plain");
}

TEST_CASE("a device goes where the caller's path leads, with the caller's mask and the directory's group") {
    const Room room;
    const Outcome outcome = run(room.shell(
        "mkdir -p /a/b /jail/in && ln -s /a /jail/to-a && chown 0:7 /a/b && chmod 2775 /a/b && cd /a/b && "
        "tool make-masked ../masked && tool make-in /a in-dirfd && tool make-in /a /a/absolute && "
        "mknod /jail/to-a/b/through c 1 3 && tool make-below /jail /in/jailed && tool make-below /jail /../../in/up; "
        "tool make-below /jail /to-a/lost"));
    CHECK(outcome.out == "ok\nok\nok\nok\nok\nNo such file or directory\n");
    CHECK(outcome.err.empty());
    CHECK(room.made("a/masked") == "100640 0:0 c 1 3");
    CHECK(room.made("a/in-dirfd") == "100640 0:0 c 1 3");
    CHECK(room.made("a/absolute") == "100640 0:0 c 1 3");
    CHECK(room.made("a/b/through") == "100644 0:7 c 1 3");
    CHECK(room.made("jail/in/jailed") == "100640 0:0 c 1 3");
    CHECK(room.made("jail/in/up") == "100640 0:0 c 1 3");
}

TEST_CASE("a device survives what steps do with files") {
    const Room room;
    const Outcome outcome =
        run(room.shell("mknod /x c 1 3 && mv /x /y && chmod 620 /y && chown 5:6 /y && ln /y /z && mknod /gone c 1 3 && "
                       "rm /gone && echo into >/y"));
    CHECK(outcome.result.succeeded());
    CHECK(room.made("y") == "100620 5:6 c 1 3");
    CHECK(room.made("z") == "100620 5:6 c 1 3");
    CHECK(room.made("gone") == "nothing");
}

TEST_CASE("errors of mknod are those of the kernel") {
    const Room room;
    const Outcome outcome = run(room.shell(
        "for p in /etc/old /no/x /etc/old/x /tmp/x/ /etc/.. $(printf %0300d 0); do mknod $p c 1 3; done; true"));
    CHECK_THAT(outcome.err, Contains("/etc/old: File exists"));
    CHECK_THAT(outcome.err, Contains("/no/x: No such file or directory"));
    CHECK_THAT(outcome.err, Contains("/etc/old/x: Not a directory"));
    CHECK_THAT(outcome.err, Contains("/tmp/x/: No such file or directory"));
    CHECK_THAT(outcome.err, Contains("/etc/..: File exists"));
    CHECK_THAT(outcome.err, Contains("File name too long"));
    CHECK(outcome.err.find("imgbuild:") == std::string::npos);
}

TEST_CASE("what no image can hold is refused with the path") {
    const Room room;
    const Outcome outcome =
        run(room.shell("cd /dev && mknod fuse c 10 229; mknod /tmp/white c 0 0; mknod /dev/null c 1 3; true"));
    CHECK_THAT(outcome.err,
               Contains("imgbuild: cannot make the device '/dev/fuse' (c 10 229): its directory is a mount"));
    CHECK_THAT(outcome.err, Contains("fuse: Operation not permitted"));
    CHECK_THAT(outcome.err, Contains("imgbuild: cannot make the device '/tmp/white' (c 0 0): overlays mark with it"));
    CHECK_THAT(outcome.err, Contains("/dev/null: File exists"));
    CHECK(room.made("tmp/white") == "nothing");
}

TEST_CASE("refusals do not flood the output") {
    const Room room;
    const Outcome outcome =
        run(room.shell("i=0; while [ $i -lt 100 ]; do mknod /dev/x c 1 9 2>/dev/null; i=$((i+1)); done"));
    std::size_t lines = 0;
    for (const char c : outcome.err) lines += c == '\n' ? 1 : 0;
    CHECK(lines == 21);
    CHECK_THAT(outcome.err, Contains("further refusals are not told"));
}

TEST_CASE("a user of the step makes no devices and writes no notes") {
    const Room room;
    const Outcome outcome = run(room.as_user(
        "mknod /tmp/x c 1 3; touch /tmp/f; tool setxattr /tmp/f user.imgbuild.device 'c 8 0'; tool race /tmp/f; "
        "tool setxattr /tmp/f security.other x; tool capable /tmp/f"));
    CHECK_THAT(outcome.err, Contains("/tmp/x: Operation not permitted"));
    CHECK(outcome.out ==
          "Operation not permitted\nNo data available\nOperation not permitted\nOperation not permitted\n");
    CHECK_THAT(outcome.err, Contains("imgbuild: cannot set the attribute 'user.imgbuild.device' of '/tmp/f'"));
    CHECK(room.made("tmp/f") == "100644 1000:1000 plain");
}

TEST_CASE("a user of the step sets attributes of his own files, and of no others") {
    const Room room;
    const Outcome outcome = run(room.as_user(
        "cd /tmp && touch f && ln -s f l && mkdir -m 700 d && touch d/g && chmod 400 d/g; "
        "for how in setxattr fsetxattr by-descriptor; do tool $how l user.$how $how; tool show f user.$how; done; "
        "tool lsetxattr f user.l l; tool lsetxattr l user.l l; tool setxattr d/g user.x x; tool setxattr /etc/old "
        "user.x x; "
        "tool setxattr missing user.x x; tool setxattr f nonsense x"));
    CHECK(outcome.out ==
          "ok\nsetxattr\nok\nfsetxattr\nok\nby-descriptor\nok\nOperation not permitted\nPermission denied\n"
          "Permission denied\nNo such file or directory\nOperation not supported\n");
    CHECK(outcome.err.empty());
}

TEST_CASE("root of a step may write notes, so that copies of devices are devices") {
    const Room room;
    const Outcome outcome = run(room.shell(
        "mknod /x c 1 3; touch /y; tool setxattr /y user.imgbuild.device \"$(tool show /x user.imgbuild.device)\""));
    CHECK(outcome.out == "ok\n");
    CHECK(room.made("y") == "100644 0:0 c 1 3");
}

TEST_CASE("attributes that need more rights than a step has are refused with the path") {
    const Room room;
    const Outcome outcome = run(room.shell("tool fsetxattr /etc/old trusted.x y; tool setxattr /etc/old security.y z"));
    CHECK(outcome.out == "Operation not permitted\nOperation not permitted\n");
    CHECK_THAT(outcome.err, Contains("imgbuild: cannot set the attribute 'trusted.x' of '/etc/old': an image gets"));
    CHECK_THAT(outcome.err, Contains("imgbuild: cannot set the attribute 'security.y' of '/etc/old': an image gets"));
}

TEST_CASE("wild pointers and numbers are errors and nothing else") {
    const Room room;
    const std::string expected =
        "Bad address\nFile name too long\nBad file descriptor\nBad address\nBad address\nBad address\n"
        "Argument list too long\nNumerical result out of range\nBad file descriptor\n";
    CHECK(run(room.shell("tool bad-memory")).out == expected);
    StepSpec user = room.as_user("tool bad-memory");
    std::string as_user = run(user).out;
    // No right to make devices, so those are the kernel's answers.
    CHECK(as_user.substr(as_user.find("Bad file")) == expected.substr(expected.find("Bad file")));
}

TEST_CASE("many processes make devices at once") {
    const Room room;
    const Outcome outcome =
        run(room.shell("mkdir /d; for i in 1 2 3 4 5 6 7 8; do (for j in 1 2 3 4 5 6 7 8; do mknod /d/$i$j c $i $j || "
                       "echo no; done) & "
                       "done; wait; ls /d | wc -l"));
    CHECK(outcome.out == "64\n");
    CHECK(room.made("d/37") == "100644 0:0 c 3 7");
}

TEST_CASE("a directory that is exchanged meanwhile leads no device out of the image") {
    const Room room;
    const Outcome outcome = run(room.shell(
        "(while :; do ln -sfn /dev /t; ln -sfn /tmp /t; ln -sfn /proc/self /t; done) 2>/dev/null & "
        "i=0; while [ $i -lt 2000 ]; do mknod /t/x c 1 3; rm -f /tmp/x; i=$((i+1)); done 2>/dev/null; kill $!; "
        "ls /dev/x; readlink /proc/1/root || echo closed"));
    CHECK_THAT(outcome.err, Contains("/dev/x: No such file or directory"));
    // Nobody looks into PID 1, also after it has been somebody else for a while.
    CHECK(outcome.out == "closed\n");
}

TEST_CASE("file capabilities become a note where the file system knows none") {
    const Room room;
    worker_facts();
    const std::string said = in_copy([&] {
        filter(SYS_setxattr, SECCOMP_RET_ERRNO | EOPNOTSUPP, 0);
        return run(room.shell("tool capable /etc/old")).out;
    });
    CHECK(said == "ok\n");
    const auto fd = util::RootedDir::open(room.upper()).open_file("etc/old", O_PATH, util::Follow::no);
    const auto xattrs = util::read_xattrs(fd.get(), "old");
    CHECK(xattrs.count("security.capability") == 0);
    CHECK(xattrs.at("user.imgbuild.held.security.capability").size() == 20);
}

TEST_CASE("where ids are not shifted, steps have every id, and nothing is noted") {
    if (worker_facts().ids != StepIds::identity) return;
    const Room room;
    const Outcome outcome = run(room.shell("touch /f; chown 3000000000:3000000002 /f; stat -c '%u:%g' /f"));
    CHECK(outcome.out == "3000000000:3000000002\n");
    CHECK(room.owner_note("f") == "none");
    CHECK(outcome.result.given_away.empty());
}

TEST_CASE("a file given to an id that steps do not have has a note, and looks like nobody's") {
    if (worker_facts().ids == StepIds::identity) return;
    const Room room;
    const Outcome outcome = run(room.shell(
        "touch /f /g; mkdir /d; ln -s x /l; mkfifo /p; chown 3000000000:7 /f /d && chown -h 3000000000 /l && "
        "chown 5:3000000001 /p && chgrp 3000000002 /f && chown 4000000000:4000000000 /g && chown 6 /g && "
        "stat -c '%u:%g' /f /p; chown 3000000000 /dev/shm"));
    CHECK(outcome.out == "65534:65534\n5:65534\n");
    CHECK_THAT(outcome.err, Contains("imgbuild: cannot give '/dev/shm' to 3000000000:0: "));
    CHECK_THAT(outcome.err, Contains("/dev/shm: Invalid argument"));
    CHECK(room.owner_note("f") == "3000000000 3000000002 65534 65534");
    CHECK(room.owner_note("d") == "3000000000 7 65534 7");
    // The user is another one by now, and whoever reads the note sees that.
    CHECK(room.owner_note("g") == "4000000000 4000000000 65534 65534");
    CHECK(outcome.result.given_away ==
          std::map<std::string, GivenAway>{{"l", {.uid = 3000000000, .gid = 0}}, {"p", {.uid = 5, .gid = 3000000001}}});
}

TEST_CASE("only who may give files away gives them to unknown ids") {
    const Room room;
    const Outcome outcome = run(room.as_user("touch /tmp/f; chown 3000000000 /tmp/f; chgrp 1000 /tmp/f && echo own"));
    CHECK(outcome.out == "own\n");
    const bool is_known = worker_facts().ids == StepIds::identity;
    CHECK_THAT(outcome.err, Contains(is_known ? "/tmp/f: Operation not permitted" : "/tmp/f: Invalid argument"));
    CHECK(room.owner_note("tmp/f") == "none");
}

TEST_CASE("where somebody listens already, steps run without devices and attributes") {
    const Room room;
    worker_facts();
    const std::string said = in_copy([&] {
        filter(SYS_getpgid, SECCOMP_RET_ALLOW, SECCOMP_FILTER_FLAG_NEW_LISTENER);
        // A worker that begins there; the others' was made before.
        NamespaceSandbox sandbox(worker_facts());
        const Outcome outcome =
            run(room.shell("tool capable /etc/old; mknod /x c 1 3; touch /f; chgrp 7 /f && echo done"), sandbox);
        return outcome.out + outcome.err;
    });
    CHECK_THAT(said, Contains("Operation not supported\ndone\n"));
    CHECK_THAT(said, Contains("/x: Operation not supported"));
}
