#include "layers/disk_use.hpp"

#include "tests/support/catch.hpp"
#include "util/fd.hpp"
#include "util/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <filesystem>
#include <string>

using namespace imgbuild;
using namespace imgbuild::layers;
namespace fs = std::filesystem;

namespace {

struct Fixture {
    util::TempDir directory{"/tmp", "imgbuild-test-"};
    std::string at(const std::string& name) const { return directory.path() + "/" + name; }
    void write(const std::string& name, std::size_t size) const {
        util::write_all(util::open_path(at(name), O_WRONLY | O_CREAT, 0600).get(), std::string(size, 'x'), name);
    }
    /// Of `name` alone.
    std::uint64_t blocks(const std::string& name) const {
        struct stat status {};
        util::check(::lstat(at(name).c_str(), &status), "look at", name);
        return static_cast<std::uint64_t>(status.st_blocks) * 512;
    }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a tree takes its files, links and directories") {
    fs::create_directories(at("tree/deep/er"));
    write("tree/a", 10'000);
    write("tree/deep/b", 1);
    fs::create_symlink("/", at("tree/deep/er/link"));
    std::uint64_t expected = 0;
    for (const char* name : {"tree", "tree/deep", "tree/deep/er", "tree/a", "tree/deep/b", "tree/deep/er/link"}) {
        expected += blocks(name);
    }
    CHECK(disk_use(at("tree")) == expected);
}

TEST_CASE_METHOD(Fixture, "a file with several names counts once, among several trees as well") {
    fs::create_directories(at("one"));
    fs::create_directories(at("two"));
    write("one/file", 100'000);
    fs::create_hard_link(at("one/file"), at("one/again"));
    fs::create_hard_link(at("one/file"), at("two/file"));
    DiskUse use;
    use.add(at("one"));
    CHECK(use.bytes() == blocks("one") + blocks("one/file"));
    use.add(at("two"));
    CHECK(use.bytes() == blocks("one") + blocks("one/file") + blocks("two"));
}

TEST_CASE_METHOD(Fixture, "holes take nothing, and what is not there neither") {
    util::Fd file = util::open_path(at("sparse"), O_WRONLY | O_CREAT, 0600);
    util::check(::ftruncate(file.get(), 1 << 30), "make a hole in", "sparse");
    CHECK(disk_use(at("sparse")) < 1 << 20);
    CHECK(disk_use(at("absent")) == 0);
    CHECK(disk_use(at("absent/below")) == 0);
}

TEST_CASE_METHOD(Fixture, "a tree may be deeper than there are descriptors") {
    constexpr int kDepth = 1500;
    std::string path = "deep";
    fs::create_directories(at(path));
    const util::Fd top = util::open_path(at("deep"), O_RDONLY | O_DIRECTORY);
    util::Fd current = top.duplicate();
    for (int i = 0; i < kDepth; ++i) {
        util::check(::mkdirat(current.get(), "d", 0700), "make", "d");
        current = util::open_at(current.get(), "d", O_RDONLY | O_DIRECTORY);
    }
    CHECK(disk_use(at("deep")) == blocks("deep") * (kDepth + 1));
}
