#include "builder/context/git_tree.hpp"

#include "builder/context/git_command.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

std::string id(char digit) {
    return std::string(40, digit);
}

/// "name of the commit": the name to fetch, and the digit of its id.
std::string told(std::string_view ref, const std::string& listed) {
    const auto found = find_remote_commit(listed, ref);
    return found ? found->name + " " + found->commit.front() : "nothing";
}

}  // namespace

TEST_CASE("a reference of a repository is a branch, else a tag, by its whole name") {
    const std::string listed = id('1') + "\tHEAD\n" + id('2') + "\trefs/heads/main\n" + id('3') +
                               "\trefs/heads/x/main\n" + id('4') + "\trefs/tags/v1\n" + id('5') + "\trefs/tags/main\n";
    CHECK(told("", listed) == "HEAD 1");
    CHECK(told("main", listed) == "refs/heads/main 2");
    CHECK(told("v1", listed) == "refs/tags/v1 4");
    CHECK(told("refs/tags/main", listed) == "refs/tags/main 5");
    CHECK(told("v2", listed) == "nothing");
}

TEST_CASE("a tag that is an object of its own means its commit") {
    CHECK(told("v1", id('1') + "\trefs/tags/v1\n" + id('2') + "\trefs/tags/v1^{}\n") == "refs/tags/v1 2");
}

TEST_CASE("what a server says and is no list of references is passed over") {
    CHECK(told("v1", "warning: hello\nabc\trefs/tags/v1\n" + id('g') + "\trefs/tags/v1\n") == "nothing");
}

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
