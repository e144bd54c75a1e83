// What a store may take, and what goes so that something new can come.
#include "layers/store_limit.hpp"

#include <imgbuild/error.hpp>

#include "layers/cache_directory.hpp"
#include "layers/inventory.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/store_fixture.hpp"

using namespace imgbuild;
using namespace imgbuild::layers;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kLimit = 16 * kMiB;

struct Fixture {
    util::TempDir directory{"/tmp", "imgbuild-test-"};
    std::string root = directory.path() + "/store";
    std::shared_ptr<Store> store = Store::open(root, {.limit = kLimit});

    static LayerId publish(Lease& lease, const std::string& name, std::uint64_t mebibytes) {
        UnfinishedLayer layer = lease.begin_layer();
        const util::Fd file = util::open_path(layer.tree() + "/file", O_WRONLY | O_CREAT, 0644);
        util::write_all(file.get(), std::string(mebibytes * kMiB, 'x'), "file");
        return lease.publish(std::move(layer), "names", {}, make_record(name));
    }
    LayerId publish(const std::string& name, std::uint64_t mebibytes) const {
        Lease lease = store->begin_lease();
        return publish(lease, name, mebibytes);
    }
    bool has(const std::string& name) const { return bool(store->begin_lease().find_layer(make_record(name).key)); }
    std::uint64_t used() const { return take_inventory(root).total(); }
};

std::string code_of(const std::function<void()>& body) {
    try {
        body();
    } catch (const Error& error) {
        return error.code();
    }
    return "none";
}

}  // namespace

TEST_CASE_METHOD(Fixture, "the least recently used goes before something new is published") {
    publish("one", 6);
    publish("two", 6);
    CHECK(has("one"));
    publish("three", 6);
    CHECK(has("one"));
    CHECK_FALSE(has("two"));
    CHECK(has("three"));
    CHECK(used() <= kLimit);
}

TEST_CASE_METHOD(Fixture, "what does not fit beside what is held is refused, and nothing is lost for it") {
    Lease lease = store->begin_lease();
    publish(lease, "held", 6);
    publish("other", 4);
    CHECK(code_of([&] { publish(lease, "too large", 11); }) == "resources.store-limit");
    CHECK(has("held"));
    CHECK(has("other"));
    CHECK_FALSE(has("too large"));
    publish(lease, "fits in place of the other", 8);
    CHECK_FALSE(has("other"));
}

TEST_CASE_METHOD(Fixture, "what does not fit is told with what takes the room") {
    const auto tiny = Store::open(root, {.limit = 1});
    Lease lease = tiny->begin_lease();
    CHECK_THROWS_WITH(publish(lease, "one", 1), Catch::Contains("may take 1 B, ") &&
                                                    Catch::Contains("images and running builds need ") &&
                                                    !Catch::Contains(" 0 B"));
}

TEST_CASE_METHOD(Fixture, "an image with a name keeps its layers, one without does not") {
    const auto put_image = [&](const std::string& name, const std::vector<std::string>& names) {
        Lease lease = store->begin_lease();
        const DiffId diff_id(util::Sha256::of(name));
        lease.set_diff_id(publish(lease, name, 5), diff_id, 1);
        lease.put_image(
            {.id = util::Sha256::of("config " + name), .config = "config " + name, .diff_ids = {diff_id}, .names = {}},
            names);
    };
    put_image("named", {"app"});
    put_image("nameless", {});
    publish("new", 8);
    CHECK(has("named"));
    CHECK_FALSE(has("nameless"));
    CHECK(store->list_images().size() == 1);
}

TEST_CASE_METHOD(Fixture, "a blob asks for room before its bytes are written") {
    publish("old", 8);
    Lease lease = store->begin_lease();
    const std::string chunk(kMiB, 'b');
    std::uint64_t written = 0;
    CHECK(code_of([&] {
              BlobWriter writer = lease.begin_blob();
              for (; written < 32; ++written) writer.write(util::as_bytes(chunk));
          }) == "resources.store-limit");
    CHECK(written < kLimit / kMiB);
    CHECK(written > kLimit / kMiB - 3);
    CHECK_FALSE(has("old"));
    // It is forgotten, and so is the room that it took.
    BlobWriter writer = lease.begin_blob();
    for (int i = 0; i < 12; ++i) writer.write(util::as_bytes(chunk));
    writer.commit();
    CHECK(used() <= kLimit);
}

TEST_CASE_METHOD(Fixture, "a store that is too large is pruned by the next build, cache mounts and logs as well") {
    publish("layer", 4);
    const auto request = [](const std::string& name) {
        return CacheRequest{.identity = util::Sha256::of(name), .name = name, .fill = [](auto&) {}, .waiting = {}};
    };
    {
        const auto mount = CacheDirectory::acquire(root, request("npm"), {});
        util::write_all(util::open_path(mount.path() + "/f", O_WRONLY | O_CREAT, 0600).get(),
                        std::string(14 * kMiB, 'm'), "file");
        const fs::path lock = fs::path(mount.path()).parent_path() / "lock";
        fs::last_write_time(lock, fs::file_time_type::clock::now() - std::chrono::hours(1));
    }
    CHECK(used() > kLimit);
    CHECK(has("layer"));
    publish("later", 1);
    CHECK(used() <= kLimit);
    CHECK(fs::is_empty(root + "/mounts"));
}

TEST_CASE_METHOD(Fixture, "what images need may be more than the limit; then nothing new comes") {
    {
        const auto unlimited = Store::open(root);
        Lease lease = unlimited->begin_lease();
        const DiffId diff_id(util::Sha256::of("large"));
        lease.set_diff_id(publish(lease, "large", 20), diff_id, 1);
        lease.put_image({.id = util::Sha256::of("c"), .config = "c", .diff_ids = {diff_id}, .names = {}}, {"app"});
    }
    Lease lease = store->begin_lease();
    CHECK(lease.find_layer(make_record("large").key));
    CHECK(code_of([&] { static_cast<void>(lease.begin_layer()); }) == "resources.store-limit");
}
