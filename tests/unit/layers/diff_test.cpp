#include "layers/diff.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <array>
#include <cstring>

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;
using util::Follow;

namespace {

constexpr std::int64_t kTime = 1'000'000'000;

void write_file(const Tree& tree, const std::string& name, std::string_view text, std::int64_t mtime,
                long nanoseconds) {
    const util::Fd fd = tree.root().open_file(name, O_WRONLY | O_CREAT, Follow::no, 0640);
    util::write_all(fd.get(), text, name);
    const std::array<timespec, 2> times{timespec{.tv_sec = mtime, .tv_nsec = nanoseconds},
                                        timespec{.tv_sec = mtime, .tv_nsec = nanoseconds}};
    REQUIRE(::futimens(fd.get(), times.data()) == 0);
}

void set_xattr(const Tree& tree, const std::string& name, const char* key, std::string_view value) {
    REQUIRE(::lsetxattr((tree.path() + "/" + name).c_str(), key, value.data(), value.size(), 0) == 0);
}

void make_directory(const Tree& tree, const std::string& name, mode_t mode = 0755) {
    REQUIRE(::mkdir((tree.path() + "/" + name).c_str(), mode) == 0);
}

ScanResult scan(const Tree& tree, const ChainView* below = nullptr) {
    return scan_upper(tree.root(), {.layer_time = kTime, .below = below, .given_away = {}, .stop = {}});
}

}  // namespace

TEST_CASE("times are cut to the layer's time and to whole seconds, in the tree as well") {
    Tree tree;
    write_file(tree, "old", "x", kTime - 100, 999);
    write_file(tree, "new", "x", kTime + 100, 0);
    make_directory(tree, "d");
    REQUIRE(::symlink("t", (tree.path() + "/l").c_str()) == 0);
    const NameIndex names = scan(tree).names;
    CHECK(names.find("old")->mtime == kTime - 100);
    CHECK(names.find("new")->mtime == kTime);
    CHECK(names.find("d")->mtime == kTime);
    CHECK(names.find("l")->mtime == kTime);
    for (const char* name : {"old", "new", "d", "l"}) {
        const auto status = tree.root().stat(name, Follow::no);
        CHECK(status->st_mtim.tv_sec == names.find(name)->mtime);
        CHECK(status->st_mtim.tv_nsec == 0);
    }
}

TEST_CASE("overlay's marks become whiteouts and opaque directories, its other attributes go") {
    Tree tree;
    REQUIRE(::mknod((tree.path() + "/gone").c_str(), S_IFCHR, 0) == 0);
    make_directory(tree, "d");
    set_xattr(tree, "d", "user.overlay.opaque", "y");
    set_xattr(tree, "d", "user.overlay.origin", "handle");
    set_xattr(tree, "d", "user.overlay.impure", "y");
    set_xattr(tree, "d", "user.overlay.overlay.opaque", "inner");
    set_xattr(tree, "d", "user.mine", "1");
    const NameIndex names = scan(tree).names;
    CHECK(names.find("gone")->type == EntryType::whiteout);
    CHECK(names.find("gone")->mtime == kTime);
    CHECK(names.find("d")->opaque);
    CHECK(names.find("d")->xattrs == util::Xattrs{{"user.mine", "1"}, {"user.overlay.opaque", "inner"}});
}

TEST_CASE("an opaque mark that hides nothing is dropped, in the tree as well") {
    Tree tree;
    make_directory(tree, "new");
    make_directory(tree, "old");
    set_xattr(tree, "new", "user.overlay.opaque", "y");
    set_xattr(tree, "old", "user.overlay.opaque", "y");
    const ChainView below({layer({directory("old"), file("new")})});
    const NameIndex names = scan(tree, &below).names;
    CHECK_FALSE(names.find("new")->opaque);
    CHECK(names.find("old")->opaque);
    CHECK(::lgetxattr((tree.path() + "/new").c_str(), "user.overlay.opaque", nullptr, 0) < 0);
}

TEST_CASE("names of one file are links to the first") {
    Tree tree;
    write_file(tree, "z", "abc", 5, 0);
    REQUIRE(::link((tree.path() + "/z").c_str(), (tree.path() + "/a").c_str()) == 0);
    const NameIndex names = scan(tree).names;
    CHECK(names.find("a")->type == EntryType::file);
    CHECK(names.find("z")->type == EntryType::hardlink);
    CHECK(names.find("z")->link_target == "a");
}

TEST_CASE("sockets are left out and named") {
    Tree tree;
    const util::Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = tree.path() + "/s";
    std::memcpy(address.sun_path, path.c_str(), path.size());
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    REQUIRE(::bind(fd.get(), generic, sizeof address) == 0);
    REQUIRE(::chmod(tree.path().c_str(), 0755) == 0);
    const ScanResult out = scan(tree);
    CHECK(out.sockets == std::vector<std::string>{"s"});
    CHECK(out.names.empty());
    CHECK_FALSE(tree.root().stat("s", Follow::no).has_value());
}

TEST_CASE("what a socket took the place of does not come back") {
    Tree tree;
    make_directory(tree, "d");
    make_directory(tree, "opaque");
    set_xattr(tree, "opaque", "user.overlay.opaque", "y");
    for (const char* name : {"d/s", "d/new", "opaque/s"})
        REQUIRE(::mknod((tree.path() + "/" + name).c_str(), S_IFSOCK | 0600, 0) == 0);
    const ChainView below({layer({directory("d"), file("d/s"), directory("opaque"), file("opaque/s")})});
    const NameIndex names = scan(tree, &below).names;
    CHECK(names.find("d/s")->type == EntryType::whiteout);
    CHECK(names.find("d/new") == nullptr);
    CHECK(names.find("opaque/s") == nullptr);
    CHECK(S_ISCHR(tree.root().stat("d/s", Follow::no)->st_mode));
    CHECK(tree.root().stat("d", Follow::no)->st_mtim.tv_sec == kTime);
    CHECK(scan(tree, &below).names == names);
}

TEST_CASE("features of overlay that we do not enable are a bug and said to be one") {
    Tree tree;
    write_file(tree, "f", "x", 5, 0);
    set_xattr(tree, "f", GENERATE("user.overlay.metacopy", "user.overlay.redirect"), "/x");
    CHECK_THROWS_WITH(scan(tree), Catch::Contains("do not enable"));
}

TEST_CASE("an upper directory that nothing was written to is the empty layer") {
    Tree tree;
    REQUIRE(::chmod(tree.path().c_str(), 0755) == 0);
    CHECK(scan(tree).names.empty());
}

TEST_CASE("the root directory is in the layer only if the step changed it") {
    Tree tree;
    REQUIRE(::chmod(tree.path().c_str(), 0700) == 0);
    CHECK_FALSE(scan(tree).names.find("")->implicit);
    const ChainView below({layer({directory("", 0700)})});
    CHECK(scan(tree, &below).names.empty());
}

TEST_CASE("a link that was given to unknown ids belongs to them, as long as nobody else has got it") {
    if (::geteuid() != 0) return;
    Tree tree;
    for (const char* name : {"given", "taken"}) REQUIRE(::symlink("x", (tree.path() + "/" + name).c_str()) == 0);
    REQUIRE(::lchown((tree.path() + "/given").c_str(), 65534, 3) == 0);
    REQUIRE(::lchown((tree.path() + "/taken").c_str(), 5, 65534) == 0);
    const ScanOptions options{.layer_time = kTime,
                              .below = nullptr,
                              .given_away = {{"given", {3'000'000'000, 0xffffffff}}, {"taken", {3'000'000'000, 4}}},
                              .stop = {}};
    const NameIndex names = scan_upper(tree.root(), options).names;
    CHECK(names.find("given")->uid == 3'000'000'000);
    CHECK(names.find("given")->gid == 3);
    CHECK(names.find("given")->overridden);
    CHECK(names.find("taken")->uid == 5);
    CHECK(names.find("taken")->gid == 65534);
}

TEST_CASE("a file named like a whiteout is refused with a way out") {
    Tree tree;
    write_file(tree, ".wh.x", "", 5, 0);
    CHECK_THROWS_WITH(scan(tree), Catch::Contains(".wh.x"));
}
