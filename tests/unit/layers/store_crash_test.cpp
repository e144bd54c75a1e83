// Processes that share a store, and processes that die in the middle of using it.
#include "layers/store.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/layers/store_fixture.hpp"

#include <sys/wait.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <random>
#include <thread>

using namespace imgbuild;
using namespace imgbuild::layers;
namespace fs = std::filesystem;

namespace {

// Runs `body` in a child that ends without destructors of ours, with 0 if it returned.
template <class Body>
pid_t spawn(Body&& body) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child != 0) return child;
    try {
        body();
        ::_exit(0);
    } catch (const std::exception&) {
        ::_exit(1);
    }
}

int wait_for(pid_t child) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return status;
}

[[noreturn]] void write_for_ever(const std::string& root) {
    const auto store = Store::open(root);
    for (int i = 0;; ++i) {
        Lease lease = store->begin_lease();
        publish_layer(lease, std::to_string(::getpid()) + "/" + std::to_string(i));
        put_blob(lease, std::to_string(::getpid()) + "/" + std::to_string(i));
    }
}

// Every row has its whole object, and every object a row.
void check_whole(const std::string& root, Store& store) {
    sqlite::Database database(root + "/index.db");
    Lease lease = store.begin_lease();
    std::int64_t layers = 0;
    for (const auto& record : lease.key_records("stage/0", 1'000'000)) {
        const auto id = lease.find_layer(record.key);
        REQUIRE(id);
        REQUIRE(lease.read_names(*id).starts_with("names of "));
        ++layers;
    }
    CHECK(layers == std::distance(fs::directory_iterator(root + "/layers"), {}));
    CHECK(layers == database.query_integer("SELECT count(*) FROM layers"));
    std::int64_t blobs = 0;
    for (const auto& entry : fs::directory_iterator(root + "/blobs/sha256")) {
        const auto digest = Digest::require("sha256:" + entry.path().filename().string(), "blob");
        const auto blob = lease.find_blob(digest);
        REQUIRE(blob);
        REQUIRE_NOTHROW(read_blob(lease, *blob));
        ++blobs;
    }
    CHECK(blobs == database.query_integer("SELECT count(*) FROM blobs"));
    CHECK(database.query_integer("SELECT count(DISTINCT lease) FROM pins") <= 1);
}

}  // namespace

TEST_CASE("two processes that publish one key agree on a layer") {
    const util::TempDir directory("/tmp", "imgbuild-test-");
    const std::string root = directory.path() + "/store";
    const auto work = [&] {
        const auto store = Store::open(root);
        Lease lease = store->begin_lease();
        for (int i = 0; i < 20; ++i) publish_layer(lease, std::to_string(i));
    };
    const pid_t first = spawn(work);
    const pid_t second = spawn(work);
    CHECK(wait_for(first) == 0);
    CHECK(wait_for(second) == 0);
    const auto store = Store::open(root);
    check_whole(root, *store);
    CHECK(std::distance(fs::directory_iterator(root + "/layers"), {}) == 20);
}

TEST_CASE("writers killed at any point leave a store that is whole") {
    const util::TempDir directory("/tmp", "imgbuild-test-");
    const std::string root = directory.path() + "/store";
    const unsigned seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> lifetime(1, 60'000);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
    while (std::chrono::steady_clock::now() < end) {
        const pid_t first = spawn([&] { write_for_ever(root); });
        const pid_t second = spawn([&] { write_for_ever(root); });
        std::this_thread::sleep_for(std::chrono::microseconds(lifetime(random)));
        ::kill(first, SIGKILL);
        ::kill(second, SIGKILL);
        CHECK(WIFSIGNALED(wait_for(first)));
        CHECK(WIFSIGNALED(wait_for(second)));
    }
    const auto store = Store::open(root);
    check_whole(root, *store);
    for (const auto& entry : fs::directory_iterator(root + "/tmp")) {
        const std::string name = entry.path().filename();
        CHECK_FALSE((name.starts_with("new-") || name.starts_with("lease-") || name.starts_with("dead-")));
    }
}
