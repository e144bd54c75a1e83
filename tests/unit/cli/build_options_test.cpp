#include "cli/build_options.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "util/files.hpp"

#include <cstdlib>
#include <fstream>

namespace imgbuild::cli {
namespace {

/// A context with a Buildfile, and options that name it.
struct Given {
    util::TempDir directory{"/tmp", "imgbuild-test-"};
    BuildOptions options;

    Given() {
        std::ofstream(directory.path() + "/Buildfile") << "FROM scratch\n";
        options.context = directory.path();
    }
};

builder::BuildRequest request_of(const BuildOptions& options) {
    AppContext context{std::stop_token()};
    return make_request(options, context);
}

Error refusal_of(const BuildOptions& options) {
    try {
        static_cast<void>(request_of(options));
    } catch (const Error& error) {
        return error;
    }
    FAIL("accepted");
    throw 0;
}

TEST_CASE("a request has the file of the context and what the options say") {
    Given given;
    given.options.names = {"app:1"};
    given.options.target = "last";
    given.options.build_args = {"A=b=c", "EMPTY="};
    given.options.labels = {"a=b=c", "alone"};
    given.options.platforms = {"linux/x86_64"};
    given.options.source_date_epoch = "17";
    given.options.pull = "always";
    given.options.tag_ttl = "1h30m";
    const builder::BuildRequest request = request_of(given.options);
    CHECK(request.file->text == "FROM scratch\n");
    CHECK(request.file->name == given.directory.path() + "/Buildfile");
    CHECK(request.names.front().text() == "docker.io/library/app:1");
    CHECK(request.lower.target == "last");
    CHECK(request.lower.build_args == decltype(request.lower.build_args){{"A", "b=c"}, {"EMPTY", ""}});
    CHECK(request.lower.labels.at("a") == "b=c");
    CHECK(request.lower.labels.at("alone").empty());
    CHECK(request.lower.target_platform.text() == "linux/amd64");
    CHECK(request.source_date_epoch == 17);
    CHECK(request.pull == builder::Pull::always);
    CHECK(request.tag_ttl == std::chrono::minutes(90));
}

TEST_CASE("registries are asked for what is missing, unless --pull says otherwise") {
    const auto [text, pull] = GENERATE(table<std::string, builder::Pull>({{"", builder::Pull::missing},
                                                                          {"missing", builder::Pull::missing},
                                                                          {"false", builder::Pull::missing},
                                                                          {"true", builder::Pull::always},
                                                                          {"never", builder::Pull::never}}));
    Given given;
    given.options.pull = text;
    CHECK(request_of(given.options).pull == pull);
}

TEST_CASE("a policy or a duration that there is not is refused") {
    Given given;
    given.options.pull = "newer";
    CHECK(refusal_of(given.options).code() == "usage.bad-pull");
    given.options.pull = "";
    given.options.tag_ttl = GENERATE("10", "-1s", "soon");
    CHECK(refusal_of(given.options).code() == "usage.bad-duration");
}

TEST_CASE("a build argument without a value is the environment's, or not given at all") {
    Given given;
    ::setenv("IMGBUILD_TEST_SET", "from outside", 1);
    ::unsetenv("IMGBUILD_TEST_UNSET");
    given.options.build_args = {"IMGBUILD_TEST_SET", "IMGBUILD_TEST_UNSET"};
    const builder::BuildRequest request = request_of(given.options);
    CHECK(request.lower.build_args == decltype(request.lower.build_args){{"IMGBUILD_TEST_SET", "from outside"}});
}

TEST_CASE("named contexts are directories or images") {
    Given given;
    given.options.contexts = {"files=/srv", "base=oci-layout:///srv/base", "busybox=docker-image://alpine"};
    const builder::BuildRequest request = request_of(given.options);
    using Kind = builder::NamedContext::Kind;
    CHECK(request.lower.contexts.at("files").kind == Kind::directory);
    CHECK(request.context_directories.at("files") == "/srv");
    CHECK(request.lower.contexts.at("base").kind == Kind::image);
    CHECK(request.lower.contexts.at("busybox").locator == "docker-image://alpine");
}

TEST_CASE("a value that cannot be used is refused with a message that names it") {
    const auto [member, value, code] =
        GENERATE(table<std::vector<std::string> BuildOptions::*, std::string, std::string>({
            {&BuildOptions::build_args, "=x", "usage.bad-build-arg"},
            {&BuildOptions::build_args, "", "usage.bad-build-arg"},
            {&BuildOptions::labels, "=x", "usage.bad-label"},
            {&BuildOptions::labels, "", "usage.bad-label"},
            {&BuildOptions::contexts, "nothing", "usage.bad-build-context"},
            {&BuildOptions::contexts, "=/srv", "usage.bad-build-context"},
            {&BuildOptions::contexts, "scratch=/srv", "usage.bad-build-context"},
            {&BuildOptions::contexts, "a=https://example.com/a.git", "usage.unsupported-context"},
            {&BuildOptions::contexts, "a=git@example.com:a.git", "usage.unsupported-context"},
            {&BuildOptions::platforms, "linux/amd64,linux/arm64", "usage.unsupported-platforms"},
            {&BuildOptions::platforms, "", "usage.bad-platform"},
            {&BuildOptions::platforms, "a/b/c/d", "usage.bad-platform"},
            {&BuildOptions::names, "Not A Name", "usage.bad-reference"},
        }));
    INFO(value);
    Given given;
    (given.options.*member).push_back(value);
    const Error error = refusal_of(given.options);
    CHECK(error.code() == code);
    CHECK_FALSE(error.message().empty());
}

TEST_CASE("contexts that are git repositories are refused as such") {
    Given given;
    given.options.context = GENERATE("https://example.com/a.git#main", "ssh://example.com/a", "git@example.com:a.git");
    const Error error = refusal_of(given.options);
    CHECK(error.code() == "usage.unsupported-context");
    CHECK(error.message().find(given.options.context) != std::string::npos);
}

TEST_CASE("standard input is the context or the build file, not both") {
    Given given;
    given.options.context = "-";
    given.options.file = "-";
    CHECK(refusal_of(given.options).code() == "usage.no-context");
}

TEST_CASE("a source date epoch is a number of seconds") {
    Given given;
    given.options.source_date_epoch = GENERATE("now", "-1", "1.5", "99999999999999999999", "2000000000000");
    CHECK(refusal_of(given.options).code() == "usage.bad-epoch");
}

TEST_CASE("a build file that is not there is named, with where it was looked for") {
    Given given;
    given.options.file = given.directory.path() + "/none";
    const Error named = refusal_of(given.options);
    CHECK(named.code() == "source.no-build-file");
    CHECK(named.message().find(given.options.file) != std::string::npos);
    const util::TempDir empty("/tmp", "imgbuild-test-");
    given.options.file.clear();
    given.options.context = empty.path();
    const Error searched = refusal_of(given.options);
    CHECK(searched.code() == "source.no-build-file");
    CHECK(searched.message().find(empty.path()) != std::string::npos);
}

}  // namespace
}  // namespace imgbuild::cli
