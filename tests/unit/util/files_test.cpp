#include "util/files.hpp"

#include <imgbuild/error.hpp>

#include "util/rooted_dir.hpp"

#include "tests/support/catch.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <filesystem>
#include <future>
#include <vector>

using namespace imgbuild;
using namespace imgbuild::util;
namespace fs = std::filesystem;

TEST_CASE("a file that is not committed leaves the old one") {
    const TempDir dir("/tmp", "imgbuild-test-");
    const std::string path = dir.path() + "/f";
    {
        AtomicFile file(path);
        file.write("old");
        file.commit();
    }
    {
        AtomicFile file(path);
        file.write("new");
    }
    CHECK(read_file(path, 100) == "old");
    CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("what is no file is written to and not replaced, and a directory is refused at once") {
    const TempDir dir("/tmp", "imgbuild-test-");
    const std::string pipe = dir.path() + "/pipe";
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    const Fd reader = open_path(pipe, O_RDONLY | O_NONBLOCK);
    AtomicFile file(pipe);
    file.write("through");
    file.commit();
    CHECK(fs::is_fifo(pipe));
    char text[8] = {};
    REQUIRE(::read(reader.get(), text, sizeof text) == 7);
    CHECK(std::string_view(text) == "through");
    CHECK_THROWS_AS(AtomicFile(dir.path()), IoError);
    CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("a temporary directory goes with everything in it and follows nothing") {
    const TempDir outside("/tmp", "imgbuild-test-");
    {
        AtomicFile file(outside.path() + "/kept");
        file.commit();
    }
    std::string path;
    {
        const TempDir dir("/tmp", "imgbuild-test-");
        path = dir.path();
        fs::create_directories(path + "/a/b/c");
        fs::create_directory_symlink(outside.path(), path + "/a/link");
        ::chmod((path + "/a/b").c_str(), 0);
    }
    CHECK_FALSE(fs::exists(path));
    CHECK(fs::exists(outside.path() + "/kept"));
}

TEST_CASE("a tree deeper than any path is removed") {
    const TempDir dir("/tmp", "imgbuild-test-");
    Fd at = open_path(dir.path(), O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 3000; ++i) {
        REQUIRE(::mkdirat(at.get(), "deep", 0755) == 0);
        at = open_at(at.get(), "deep", O_RDONLY | O_DIRECTORY);
    }
    remove_all(dir.path() + "/deep");
    CHECK(list_directory(open_path(dir.path(), O_RDONLY | O_DIRECTORY).get(), "dir").empty());
}

TEST_CASE("a tree may be removed by several at once") {
    for (int round = 0; round < 20; ++round) {
        const TempDir temp("/tmp", "imgbuild-test-");
        for (int i = 0; i < 200; ++i) make_directories(fmt::format("{}/tree/{}/{}", temp.path(), i % 20, i));
        std::vector<std::future<void>> removals;
        for (int i = 0; i < 4; ++i)
            removals.push_back(std::async(std::launch::async, [&] { remove_all(temp.path() + "/tree"); }));
        for (std::future<void>& removal : removals) CHECK_NOTHROW(removal.get());
        CHECK_FALSE(fs::exists(temp.path() + "/tree"));
    }
}

TEST_CASE("an exclusive lock keeps others out until it goes") {
    const TempDir dir("/tmp", "imgbuild-test-");
    const std::string path = dir.path() + "/lock";
    {
        const FileLock lock = FileLock::acquire(path, FileLock::Kind::exclusive);
        CHECK_FALSE(FileLock::try_acquire(path, FileLock::Kind::shared));
    }
    CHECK(FileLock::try_acquire(path, FileLock::Kind::exclusive));
}
