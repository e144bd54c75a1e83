#include "builder/context/local_tree.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <cstring>
#include <filesystem>

using namespace imgbuild;
using namespace imgbuild::builder;
using layers::EntryType;

namespace {

struct TreeFixture {
    test::Directory directory;

    LocalTree tree(const std::string& ignore = "") const {
        return {util::RootedDir::open(directory.path()), parser::IgnoreMatcher(parser::read_ignore_file(ignore)),
                ".dockerignore"};
    }
};

std::vector<std::string> paths(const std::vector<SourceFileInfo>& files) {
    std::vector<std::string> out;
    for (const SourceFileInfo& file : files) out.push_back(file.entry.path);
    return out;
}

void make_socket(const std::string& path) {
    const util::Fd fd(util::check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket", path));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    util::check(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind", path);
}

using Paths = std::vector<std::string>;

}  // namespace

TEST_CASE_METHOD(TreeFixture, "files of the context belong to root and keep their mode") {
    directory.write("a", "text", 04751);
    const auto file = tree().find("a");
    REQUIRE(file);
    CHECK(file->entry.type == EntryType::file);
    CHECK(file->entry.mode == 04751);
    CHECK(file->entry.uid == 0);
    CHECK(file->entry.gid == 0);
    CHECK(file->entry.size == 4);
}

TEST_CASE_METHOD(TreeFixture, "the root of a context is a directory") {
    const auto root = tree("*").find("");
    REQUIRE(root);
    CHECK(root->entry.type == EntryType::directory);
}

TEST_CASE_METHOD(TreeFixture, "children are sorted by name and not those of children") {
    directory.write("b", "");
    directory.write("a/deep", "");
    directory.write("C", "");
    CHECK(paths(tree().children("")) == Paths{"C", "a", "b"});
    CHECK(paths(tree().children("a")) == Paths{"a/deep"});
}

TEST_CASE_METHOD(TreeFixture, "a symbolic link is found as itself") {
    directory.link("link", "/etc/passwd");
    const auto link = tree().find("link");
    REQUIRE(link);
    CHECK(link->entry.type == EntryType::symlink);
    CHECK(link->entry.link_target == "/etc/passwd");
}

TEST_CASE_METHOD(TreeFixture, "links are resolved inside the context, wherever they point") {
    directory.write("real/file", "");
    directory.link("up", "../../../../etc");
    directory.link("absolute", "/real");
    directory.link("chain", "absolute/../absolute");
    const auto [path, resolved] = GENERATE(table<std::string, std::string>({
        {"up/passwd", "etc/passwd"},
        {"absolute/file", "real/file"},
        {"chain/file", "real/file"},
        {"missing/file", "missing/file"},
        {"", ""},
    }));
    CHECK(tree().resolve(path) == resolved);
}

TEST_CASE_METHOD(TreeFixture, "a circle of links is an error and no endless loop") {
    directory.link("a", "b");
    directory.link("b", "a");
    CHECK_THROWS_AS(tree().resolve("a"), IoError);
}

TEST_CASE_METHOD(TreeFixture, "names of one file share a group and other files have none") {
    directory.write("a", "");
    directory.hard_link("b", "a");
    directory.write("c", "");
    const auto files = tree().children("");
    REQUIRE(files.size() == 3);
    CHECK(files[0].link_group);
    CHECK(files[0].link_group == files[1].link_group);
    CHECK_FALSE(files[2].link_group);
}

TEST_CASE_METHOD(TreeFixture, "what the ignore file excludes is not there") {
    directory.write("keep", "");
    directory.write("drop", "");
    CHECK(paths(tree("drop").children("")) == Paths{"keep"});
    CHECK_FALSE(tree("drop").find("drop"));
}

TEST_CASE_METHOD(TreeFixture, "an exception brings back a file of an excluded directory, and the directory with it") {
    directory.write("out/keep", "");
    directory.write("out/drop", "");
    directory.write("empty/drop", "");
    const LocalTree filtered = tree("*\n!out/keep\n");
    CHECK(paths(filtered.children("")) == Paths{"out"});
    CHECK(paths(filtered.children("out")) == Paths{"out/keep"});
}

TEST_CASE_METHOD(TreeFixture, "why a path is absent names the ignore file") {
    directory.write("drop", "");
    CHECK(tree("drop").why_absent("drop") == "it is excluded by '.dockerignore'");
    CHECK(tree("drop").why_absent("other").empty());
}

TEST_CASE_METHOD(TreeFixture, "a socket in the context is an error unless it is excluded") {
    make_socket(directory.at("socket"));
    CHECK(test::error_code([&] { tree().children(""); }) == "source.socket");
    CHECK(tree("socket").children("").empty());
}

TEST_CASE_METHOD(TreeFixture, "a file is opened by its own name and not through a link") {
    directory.write("a", "text");
    const LocalTree tree_now = tree();
    const auto file = tree_now.find("a");
    REQUIRE(file);
    CHECK(util::read_all(tree_now.open(*file).fd.get(), 100, "a") == "text");
    std::filesystem::remove(directory.at("a"));
    directory.link("a", "/etc/hostname");
    CHECK_THROWS_AS(tree_now.open(*file), IoError);
}
