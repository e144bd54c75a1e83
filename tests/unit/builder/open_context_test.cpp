#include "builder/context/open_context.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

struct ContextFixture {
    test::Directory context;
    test::Directory elsewhere;

    ContextFixture() {
        for (const char* name : {"a", "b", "c", "d"}) context.write(name, "");
    }
    bool has(const std::string& name, const std::string& build_file = "") const {
        return open_context(context.path(), {.build_file = build_file})->find(name).has_value();
    }
};

}  // namespace

TEST_CASE_METHOD(ContextFixture, "without an ignore file everything is there") {
    CHECK(has("a"));
}

TEST_CASE_METHOD(ContextFixture, "the context's .containerignore goes before its .dockerignore") {
    context.write(".dockerignore", "a\n");
    CHECK_FALSE(has("a"));
    context.write(".containerignore", "b\n");
    CHECK(has("a"));
    CHECK_FALSE(has("b"));
}

TEST_CASE_METHOD(ContextFixture, "the build file's own ignore file goes before those of the context") {
    context.write(".containerignore", "a\n");
    elsewhere.write("app.containerignore", "b\n");
    CHECK_FALSE(has("b", elsewhere.at("app")));
    CHECK(has("a", elsewhere.at("app")));
    elsewhere.write("app.dockerignore", "c\n");
    CHECK(has("b", elsewhere.at("app")));
    CHECK_FALSE(has("c", elsewhere.at("app")));
}

TEST_CASE_METHOD(ContextFixture, "a store that lies in the context is not part of it") {
    context.write("cache/store/index.db", "");
    const auto tree = open_context(context.path(), {}, context.at("cache/store"));
    CHECK(tree->find("cache"));
    CHECK_FALSE(tree->find("cache/store"));
    CHECK(tree->children("cache").empty());
}

TEST_CASE_METHOD(ContextFixture, "a context that is no directory is an error") {
    const auto name = GENERATE(as<std::string>(), "a", "missing");
    CHECK(test::error_code([&] { open_context(context.at(name), {}); }) == "source.no-context");
}

TEST_CASE_METHOD(ContextFixture, "a malformed ignore file is an error that names it") {
    context.write(".dockerignore", "[a\n");
    CHECK_THROWS_WITH(open_context(context.path(), {}), Catch::Contains("'.dockerignore'"));
}

TEST_CASE_METHOD(ContextFixture, "an ignore file that links out of the context is not followed there") {
    elsewhere.write("list", "a\n");
    context.link(".dockerignore", elsewhere.at("list"));
    CHECK(has("a"));
}

TEST_CASE_METHOD(ContextFixture, "a directory outside of any checkout has no commit time") {
    CHECK_FALSE(checkout_time(context.path()));
}

TEST_CASE_METHOD(ContextFixture, "a checkout without a commit has no commit time") {
    context.make_directory(".git");
    CHECK_FALSE(checkout_time(context.path()));
}
