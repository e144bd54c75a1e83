#include "tests/unit/builder/sandbox_support.hpp"

#include <imgbuild/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "builder/sandbox/worker.hpp"
#include "util/fd.hpp"

namespace imgbuild::sandbox::test {
namespace {

// Not /tmp, which may be a tmpfs or an overlay; the store is on a disk as well.
constexpr const char* kParent = "/var/tmp";

HostFacts become_worker() {
    try {
        enter_worker();
        HostFacts facts = probe_host(kParent, kParent);
        // A machine that can shift ids can do without as well, and both are to be tried.
        if (const char* ids = std::getenv("IMGBUILD_TEST_IDS"); ids != nullptr && std::string_view(ids) == "identity") {
            facts.ids = StepIds::identity;
        }
        require_steps(facts);
        return facts;
    } catch (const Error& error) {
        std::fprintf(stderr, "no sandbox here: %s (%s)\n", error.what(), error.hint().c_str());
        const char* required = std::getenv("IMGBUILD_REQUIRE_SANDBOX");
        std::exit(required != nullptr && std::string_view(required) == "1" ? 1 : 77);
    }
}

}  // namespace

void Collected::output(Stream stream, std::string_view bytes) {
    (stream == Stream::out ? out : err) += bytes;
    if (react) react();
}

const HostFacts& worker_facts() {
    static const HostFacts facts = become_worker();
    return facts;
}

NamespaceSandbox& shared_sandbox() {
    static NamespaceSandbox sandbox(worker_facts());
    return sandbox;
}

Workspace::Workspace() : directory_((worker_facts(), kParent), "sandbox-test-") {
    for (const char* name : {"bin", "dev", "proc", "sys", "etc", "tmp", "root", "usr/bin"}) {
        util::make_directories(lower() + "/" + name);
    }
    chmod((lower() + "/tmp").c_str(), 01777);
    std::filesystem::copy_file("/bin/busybox", lower() + "/bin/busybox");
    for (const char* applet : {"sh",   "ls",    "cat",      "true",    "false", "sleep", "id",       "pwd",   "env",
                               "kill", "dd",    "rm",       "mkdir",   "touch", "echo",  "hostname", "mount", "umount",
                               "ps",   "chown", "ip",       "unshare", "ln",    "stat",  "setsid",   "head",  "mknod",
                               "wc",   "grep",  "readlink", "chmod",   "date",  "test",  "mkfifo"}) {
        std::filesystem::create_symlink("busybox", lower() + "/bin/" + applet);
    }
    write_file(lower() + "/etc/resolv.conf", "image\n");
    write_file(lower() + "/etc/hosts", "image\n");
    write_file(lower() + "/etc/old", "from below\n");
    write_file(lower() + "/etc/kept/file", "from below\n");
    write_file(lower() + "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
}

StepSpec Workspace::step(std::vector<std::string> args) const {
    for (const std::string& name : {upper(), path("work")}) {
        util::remove_all(name);
        util::make_directories(name);
    }
    StepSpec spec;
    spec.args = std::move(args);
    spec.env = {"PATH=/bin", "HOME=/root"};
    spec.lowers = {lower()};
    spec.upper = upper();
    spec.work = path("work");
    return spec;
}

StepSpec Workspace::shell(std::string script) const {
    return step({"/bin/sh", "-c", std::move(script)});
}

Outcome run(const StepSpec& step) {
    return run(step, shared_sandbox());
}

Outcome run(const StepSpec& step, Sandbox& sandbox) {
    Collected output;
    const StepResult result = sandbox.run(step, output, {});
    return {result, output.out, output.err};
}

void write_file(const std::string& path, std::string_view text, unsigned mode) {
    util::make_directories(std::filesystem::path(path).parent_path());
    const util::Fd file = util::open_path(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    util::write_all(file.get(), text, path);
}

std::string own_seconds(int number) {
    // Process ids have at most seven digits, and a busybox takes at least what fits 31 bits.
    return std::to_string(100'000'000 + number * 10'000'000 + getpid());
}

bool process_exists(const std::string& marker) {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos || name == std::to_string(getpid())) continue;
        // The process may be gone by now, which is fine.
        const int fd = open((entry.path() / "cmdline").c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        const util::Fd file(fd);
        char text[4096];
        const auto size = read(fd, text, sizeof(text));
        if (size > 0 && std::string_view(text, static_cast<std::size_t>(size)).find(marker) != std::string_view::npos) {
            return true;
        }
    }
    return false;
}

}  // namespace imgbuild::sandbox::test
