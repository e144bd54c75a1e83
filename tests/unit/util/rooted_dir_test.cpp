#include "util/rooted_dir.hpp"

#include <imgbuild/error.hpp>

#include "util/files.hpp"

#include "tests/support/catch.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <filesystem>
#include <fstream>

using namespace imgbuild;
using namespace imgbuild::util;
namespace fs = std::filesystem;

namespace {

struct Tree {
    TempDir dir{"/tmp", "imgbuild-test-"};
    std::string root = dir.path() + "/root";

    Tree() {
        fs::create_directories(root + "/etc");
        std::ofstream(root + "/etc/passwd") << "inside";
        std::ofstream(dir.path() + "/secret") << "outside";
        fs::create_symlink("/etc/passwd", root + "/absolute");
        fs::create_symlink("../../../../etc/passwd", root + "/etc/climbing");
        fs::create_symlink("../secret", root + "/escape");
        fs::create_directory_symlink("/proc/self/root", root + "/magic");
        fs::create_symlink("loop", root + "/loop");
    }
};

}  // namespace

TEST_CASE("links resolve inside the root, whatever they say") {
    const Tree tree;
    const RootedDir root = RootedDir::open(tree.root);
    CHECK(root.read_file("absolute", 100) == "inside");
    CHECK(root.read_file("etc/climbing", 100) == "inside");
    CHECK(root.read_file("../../../etc/passwd", 100) == "inside");
    CHECK_FALSE(root.read_file("escape", 100));
    CHECK_THROWS_AS(root.read_file("loop", 100), IoError);
}

TEST_CASE("a link itself can be looked at") {
    const Tree tree;
    const RootedDir root = RootedDir::open(tree.root);
    const auto status = root.stat("absolute", Follow::no);
    REQUIRE(status);
    CHECK(S_ISLNK(status->st_mode));
    CHECK(root.read_link("absolute") == "/etc/passwd");
}

TEST_CASE("a parent is made with the mode that was asked for, whatever the umask") {
    const Tree tree;
    const RootedDir root = RootedDir::open(tree.root);
    const mode_t old = ::umask(077);
    const Place place = root.make_parent("a/b/c", 0755);
    ::umask(old);
    CHECK(place.name == "c");
    CHECK((root.stat("a/b", Follow::no)->st_mode & 07777) == 0755);
}

TEST_CASE("a path that names no file has no parent") {
    const Tree tree;
    const RootedDir root = RootedDir::open(tree.root);
    const std::string path = GENERATE("", "/", ".", "a/..", "..");
    CHECK_THROWS_AS(root.open_parent(path), UsageError);
}

TEST_CASE("a directory is no small file") {
    const Tree tree;
    CHECK_THROWS_AS(RootedDir::open(tree.root).read_file("etc", 10), IoError);
}

TEST_CASE("paths are cleaned against the root") {
    const auto [path, expected] = GENERATE(table<std::string, std::string>(
        {{"", ""}, {"/", ""}, {"a//./b/", "a/b"}, {"../x", "x"}, {"a/../../b", "b"}, {"/a/b/..", "a"}}));
    CHECK(clean_path(path) == expected);
}

TEST_CASE("a directory lists in the order of bytes") {
    const Tree tree;
    const RootedDir root = RootedDir::open(tree.root);
    const auto entries = list_directory(root.fd(), "root");
    REQUIRE(entries.size() == 5);
    CHECK(entries.front().name == "absolute");
    CHECK(entries.back().name == "magic");
}
