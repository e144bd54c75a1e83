#include "layers/cache_directory.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "util/bytes.hpp"
#include "util/files.hpp"

#include <sys/stat.h>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

using namespace imgbuild;
using namespace imgbuild::layers;

namespace {

struct Fixture {
    Fixture() : root("/tmp", "imgbuild-test-") { util::make_directories(root.path() + "/mounts"); }

    CacheRequest request(CacheSharing sharing, const std::string& name = "c") {
        return {.identity = util::Sha256::of(name),
                .name = name,
                .sharing = sharing,
                .fill = [this](const std::string&) { ++fills; },
                .waiting = [this] { ++waits; }};
    }
    CacheDirectory acquire(const CacheRequest& wanted, std::stop_token stop = {}) const {
        return CacheDirectory::acquire(root.path(), wanted, std::move(stop));
    }

    util::TempDir root;
    std::atomic<int> fills = 0;
    std::atomic<int> waits = 0;
};

}  // namespace

TEST_CASE("a cache is filled once, and is the same directory afterwards") {
    Fixture fixture;
    const auto request = fixture.request(CacheSharing::shared);
    const std::string first = fixture.acquire(request).path();
    util::make_directories(first + "/kept");
    const std::string second = fixture.acquire(request).path();
    CHECK(first == second);
    CHECK(std::filesystem::exists(second + "/kept"));
    CHECK(fixture.fills == 1);
    CHECK(fixture.acquire(fixture.request(CacheSharing::shared, "other")).path() != first);
}

TEST_CASE("shared users have it at once, private ones each a directory of their own") {
    Fixture fixture;
    const auto a = fixture.acquire(fixture.request(CacheSharing::shared));
    const auto b = fixture.acquire(fixture.request(CacheSharing::shared));
    const auto c = fixture.acquire(fixture.request(CacheSharing::exclusive));
    const auto d = fixture.acquire(fixture.request(CacheSharing::exclusive));
    CHECK(a.path() == b.path());
    CHECK(c.path() != a.path());
    CHECK(d.path() != a.path());
    CHECK(d.path() != c.path());
    CHECK(fixture.waits == 0);
}

TEST_CASE("locked users wait for each other and for shared ones, and say so once") {
    const auto [held, wanted] =
        GENERATE(table<CacheSharing, CacheSharing>({{CacheSharing::locked, CacheSharing::locked},
                                                    {CacheSharing::shared, CacheSharing::locked},
                                                    {CacheSharing::locked, CacheSharing::shared}}));
    Fixture fixture;
    std::optional<CacheDirectory> first = fixture.acquire(fixture.request(held));
    std::atomic<bool> done = false;
    const auto request = fixture.request(wanted);
    std::jthread other([&] {
        static_cast<void>(fixture.acquire(request));
        done = true;
    });
    while (fixture.waits == 0) std::this_thread::yield();
    CHECK_FALSE(done);
    first.reset();
    other.join();
    CHECK(done);
    CHECK(fixture.waits == 1);
}

TEST_CASE("many that begin at once get one directory, filled once") {
    Fixture fixture;
    const auto request = fixture.request(CacheSharing::shared);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i) threads.emplace_back([&] { static_cast<void>(fixture.acquire(request)); });
    }
    CHECK(fixture.fills == 1);
}

TEST_CASE("who waits can be stopped") {
    Fixture fixture;
    const auto first = fixture.acquire(fixture.request(CacheSharing::locked));
    std::stop_source stop;
    CacheRequest request = fixture.request(CacheSharing::locked);
    request.waiting = [&stop] { stop.request_stop(); };
    CHECK_THROWS_AS(fixture.acquire(request, stop.get_token()), Cancelled);
}

TEST_CASE("a cache whose seed fails is not there") {
    Fixture fixture;
    CacheRequest request = fixture.request(CacheSharing::locked);
    request.fill = [](const std::string& path) {
        util::make_directories(path + "/half");
        throw IoError("read", "the seed", EIO);
    };
    CHECK_THROWS_AS(fixture.acquire(request), IoError);
    const auto later = fixture.acquire(fixture.request(CacheSharing::locked));
    CHECK(std::filesystem::is_empty(later.path()));
    const auto directory = std::filesystem::path(later.path()).parent_path();
    CHECK(std::distance(std::filesystem::directory_iterator(directory), {}) == 2);
}
