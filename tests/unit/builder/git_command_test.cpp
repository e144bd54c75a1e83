#include "builder/context/git_command.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

#include <stop_token>
#include <string>

using namespace imgbuild;
using namespace imgbuild::builder;

TEST_CASE("the committer's time is in the head of a commit") {
    const std::string commit =
        "tree x\nauthor A <a> 1 +0000\ncommitter C D <c> 1700000000 +0100\n\ncommitter x 5 +0000\n";
    CHECK(committer_time(commit) == 1700000000);
    CHECK(!committer_time("tree x\n\ncommitter C <c> 5 +0000\n"));
}

TEST_CASE("git's answer and its complaint are told apart, and its exit code") {
    const GitOutcome good = run_git({.arguments = {"--version"}}, {});
    CHECK(good.exit_code == 0);
    CHECK(good.output.starts_with("git version"));
    const GitOutcome bad = run_git({.arguments = {"no-such-command"}}, {});
    CHECK(bad.exit_code != 0);
    CHECK(bad.complaint.find("no-such-command") != std::string::npos);
}

TEST_CASE("a build that stops ends git and what git started") {
    std::stop_source stop;
    stop.request_stop();
    CHECK_THROWS_AS(run_git({.arguments = {"-c", "alias.wait=!sleep 60", "wait"}}, stop.get_token()), Cancelled);
}
