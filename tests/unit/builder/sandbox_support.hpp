// A worker, a sandbox and a tiny root file system made of busybox, for tests that run real steps.
#pragma once

#include <functional>
#include <string>

#include "builder/sandbox/sandbox.hpp"
#include "util/files.hpp"

namespace imgbuild::sandbox::test {

/// Collects what a step prints, and lets a test react to it.
class Collected final : public OutputSink {
public:
    void output(Stream stream, std::string_view bytes) override;

    std::string out;
    std::string err;
    /// Called after each piece.
    std::function<void()> react;
};

struct Outcome {
    StepResult result;
    std::string out;
    std::string err;
};

/// Makes this process a worker once. Exits with 77 and a reason where no real step can run (a failure instead if
/// IMGBUILD_REQUIRE_SANDBOX=1).
const HostFacts& worker_facts();

/// A step's directories, gone with the object.
class Workspace {
public:
    Workspace();

    /// Runs `args` on the root with fresh upper and work directories.
    StepSpec step(std::vector<std::string> args) const;
    /// As step(), by `/bin/sh -c`.
    StepSpec shell(std::string script) const;

    std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
    std::string upper() const { return path("upper"); }
    std::string lower() const { return path("lower"); }

private:
    util::TempDir directory_;
};

NamespaceSandbox& shared_sandbox();

/// Runs a step to its end.
Outcome run(const StepSpec& step);
Outcome run(const StepSpec& step, Sandbox& sandbox);

/// Writes a file with all its directories.
void write_file(const std::string& path, std::string_view text, unsigned mode = 0644);

/// Seconds to sleep, years of them, that only a step of this process has among its words, as two runs of these tests
/// may be under way at once. `number`, 0 to 9, tells the tests apart.
std::string own_seconds(int number);

/// Are there processes of this machine whose command line contains `marker`?
bool process_exists(const std::string& marker);

}  // namespace imgbuild::sandbox::test
