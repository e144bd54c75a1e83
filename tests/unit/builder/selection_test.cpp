#include "builder/ops/selection.hpp"

#include "builder/context/local_tree.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

using Paths = std::vector<std::string>;

struct SelectionFixture {
    test::Directory directory;
    std::string ignore;

    SelectionFixture() {
        directory.write("src/main.c", "");
        directory.write("src/lib/a.c", "");
        directory.write("src/lib/a.o", "");
        directory.write("README.md", "");
        directory.write("NEWS.md", "");
    }

    Selection select(Paths sources, Paths excludes = {}, bool parents = false) const {
        const LocalTree tree(util::RootedDir::open(directory.path()),
                             parser::IgnoreMatcher(parser::read_ignore_file(ignore)), ".dockerignore");
        return select_files(tree, {.from = 0,
                                   .sources = std::move(sources),
                                   .destination = "/",
                                   .owner = {},
                                   .mode = {},
                                   .excludes = std::move(excludes),
                                   .parents = parents});
    }
    Selection with_parents(const std::string& source, Paths excludes = {}) const {
        return select({source}, std::move(excludes), true);
    }
};

Paths names(const Selection& selection) {
    Paths out;
    for (const SelectedRoot& root : selection.roots) out.push_back(root.name);
    return out;
}

Paths below(const Selection& selection) {
    Paths out;
    for (const SelectedRoot& root : selection.roots) {
        for (const SourceFileInfo& file : root.below) out.push_back(file.entry.path);
    }
    return out;
}

}  // namespace

TEST_CASE_METHOD(SelectionFixture, "a directory is selected with everything in it, parents first") {
    const Selection selection = select({"src"});
    CHECK(names(selection) == Paths{"src"});
    CHECK(below(selection) == Paths{"src/lib", "src/lib/a.c", "src/lib/a.o", "src/main.c"});
}

TEST_CASE_METHOD(SelectionFixture, "sources stay in the order in which they are written") {
    CHECK(names(select({"README.md", "NEWS.md"})) == Paths{"README.md", "NEWS.md"});
}

TEST_CASE_METHOD(SelectionFixture, "a path never leaves the context") {
    const auto path = GENERATE(as<std::string>(), "README.md", "/README.md", "../README.md", "src/../../README.md");
    CHECK(names(select({path})) == Paths{"README.md"});
}

TEST_CASE_METHOD(SelectionFixture, "wildcards match name by name, sorted") {
    const auto [pattern, found] = GENERATE(table<std::string, Paths>({
        {"*.md", {"NEWS.md", "README.md"}},
        {"s?c/*.c", {"main.c"}},
        {"*/lib/a.[co]", {"a.c", "a.o"}},
        {"*.none", {}},
        {"none/*", {}},
    }));
    CHECK(names(select({pattern})) == found);
}

TEST_CASE_METHOD(SelectionFixture, "a plain path that is not there is an error") {
    CHECK(test::error_code([&] { select({"missing"}); }) == "source.not-found");
}

TEST_CASE_METHOD(SelectionFixture, "an excluded path is an error that says by what") {
    ignore = "README.md\n";
    CHECK_THROWS_WITH(select({"README.md"}), Catch::Contains("excluded by '.dockerignore'"));
}

TEST_CASE_METHOD(SelectionFixture, "a link that is named is followed and keeps its own name") {
    directory.link("docs", "src/lib");
    const Selection selection = select({"docs"});
    CHECK(names(selection) == Paths{"docs"});
    CHECK(below(selection) == Paths{"src/lib/a.c", "src/lib/a.o"});
}

TEST_CASE_METHOD(SelectionFixture, "a link inside a directory stays a link") {
    directory.link("src/link", "main.c");
    const Selection selection = select({"src"});
    CHECK(selection.roots.at(0).below.at(3).entry.type == layers::EntryType::symlink);
}

TEST_CASE_METHOD(SelectionFixture, "a link that leads out of the context leads to nothing") {
    directory.link("out", "/etc/passwd");
    CHECK(test::error_code([&] { select({"out"}); }) == "source.not-found");
}

TEST_CASE_METHOD(SelectionFixture, "--exclude leaves files out, relative to the source") {
    CHECK(below(select({"src"}, {"lib/*.o"})) == Paths{"src/lib", "src/lib/a.c", "src/main.c"});
    CHECK(below(select({"src"}, {"lib"})) == Paths{"src/main.c"});
}

TEST_CASE_METHOD(SelectionFixture, "an exception of --exclude keeps the directory that it needs, and no other") {
    directory.write("src/other/b.o", "");
    CHECK(below(select({"src"}, {"*", "!lib/a.c"})) == Paths{"src/lib", "src/lib/a.c"});
}

TEST_CASE_METHOD(SelectionFixture, "a file that is named is left out by --exclude without an error") {
    CHECK(names(select({"README.md", "NEWS.md"}, {"NEWS.md"})) == Paths{"README.md"});
}

TEST_CASE_METHOD(SelectionFixture, "--parents keeps the directories on the way, from the root or from where /./ says") {
    const auto [source, found] = GENERATE(table<std::string, Paths>({
        {"src/lib/a.c", {"src", "src/lib", "src/lib/a.c"}},
        {"./src/lib/a.c", {"src", "src/lib", "src/lib/a.c"}},
        {"/src/./lib/a.c", {"src/lib", "src/lib/a.c"}},
        {"src/lib/./a.c", {"src/lib/a.c"}},
        {"src/./lib/", {"src/lib", "src/lib/a.c", "src/lib/a.o"}},
        {"s*/./main.c", {"src/main.c"}},
        {"src/*.c", {"src", "src/main.c"}},
        {"src/l*", {"src", "src/lib", "src/lib/a.c", "src/lib/a.o"}},
        {"**/*.c", {"src", "src/lib", "src/lib/a.c", "src/main.c"}},
        {"src/**/*.o", {"src", "src/lib", "src/lib/a.o"}},
        {"**/*.none", {}},
    }));
    CHECK(below(with_parents(source)) == found);
}

TEST_CASE_METHOD(SelectionFixture,
                 "--parents with --exclude leaves out what is excluded, relative to where it begins") {
    CHECK(below(with_parents("src", {"src/lib/*.o"})) == Paths{"src", "src/lib", "src/lib/a.c", "src/main.c"});
    CHECK(below(with_parents("./src/./lib", {"lib/*.c"})) == Paths{"src/lib", "src/lib/a.o"});
}

TEST_CASE_METHOD(SelectionFixture, "--parents wants a plain path to be there, and a place to begin at") {
    const auto source = GENERATE(as<std::string>(), "src/none", "none/./main.c", "README.md/./x", "src/./", "src/./.");
    CHECK(test::error_code([&] { with_parents(source); }) == "source.not-found");
}
