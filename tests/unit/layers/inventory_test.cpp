#include "layers/inventory.hpp"

#include "layers/cache_directory.hpp"
#include "layers/disk_use.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/store_fixture.hpp"

using namespace imgbuild;
using namespace imgbuild::layers;
namespace fs = std::filesystem;

namespace {

std::vector<StoredObject> of_kind(const Inventory& inventory, ObjectKind kind) {
    std::vector<StoredObject> out;
    for (const StoredObject& object : inventory.objects) {
        if (object.kind == kind) out.push_back(object);
    }
    return out;
}

/// An image of one layer, which has a blob that the text makes.
LayerId put_image(Lease& lease, const std::string& name, const std::string& blob) {
    const LayerId layer = publish_layer(lease, name);
    const DiffId diff_id(util::Sha256::of("tar of " + name));
    lease.set_diff_id(layer, diff_id, 512);
    lease.record_form(diff_id, {.blob = put_blob(lease, blob), .media_type = "", .codec_id = "none"});
    const std::string config = "config of " + name;
    lease.put_image({.id = util::Sha256::of(config), .config = config, .diff_ids = {diff_id}, .names = {}}, {name});
    return layer;
}

CacheRequest cache(const std::string& name) {
    return {.identity = util::Sha256::of(name), .name = name, .fill = [](const std::string&) {}, .waiting = {}};
}

}  // namespace

TEST_CASE_METHOD(StoreFixture, "an inventory has every object with its exact size") {
    {
        Lease lease = store->begin_lease();
        put_image(lease, "app", std::string(100'000, 'b'));
        publish_layer(lease, "cached only");
        util::write_all(util::open_path(lease.log_path("step"), O_WRONLY | O_CREAT, 0600).get(), "text", "log");
        const auto mount = CacheDirectory::acquire(root, cache("npm"), {});
        util::write_all(util::open_path(mount.path() + "/f", O_WRONLY | O_CREAT, 0600).get(), std::string(50'000, 'm'),
                        "file");
    }
    const Inventory inventory = take_inventory(root);
    CHECK(of_kind(inventory, ObjectKind::image).size() == 1);
    const auto layers = of_kind(inventory, ObjectKind::layer);
    REQUIRE(layers.size() == 2);
    for (const StoredObject& layer : layers) CHECK(layer.bytes == disk_use(root + "/layers/" + layer.id));
    const auto blobs = of_kind(inventory, ObjectKind::blob);
    REQUIRE(blobs.size() == 1);
    CHECK(blobs[0].bytes >= 100'000);
    const auto mounts = of_kind(inventory, ObjectKind::mount);
    REQUIRE(mounts.size() == 1);
    CHECK(mounts[0].what == "npm");
    CHECK(mounts[0].bytes == disk_use(root + "/mounts/" + mounts[0].id + "/data"));
    CHECK(of_kind(inventory, ObjectKind::log).size() == 1);
    // Nothing is forgotten and nothing counted twice; the index's log may have grown since it was looked at.
    const std::uint64_t used = disk_use(root);
    CHECK(inventory.total() <= used);
    CHECK(inventory.total() + 50'000 > used);
}

TEST_CASE_METHOD(StoreFixture, "what an image needs is not reclaimable, and what two need is shared") {
    {
        Lease lease = store->begin_lease();
        put_image(lease, "one", "the same blob");
        put_image(lease, "two", "the same blob");
        publish_layer(lease, "cached only");
    }
    const Inventory inventory = take_inventory(root);
    CHECK(of_kind(inventory, ObjectKind::blob).at(0).images == 2);
    std::vector<std::size_t> needed;
    for (const StoredObject& layer : of_kind(inventory, ObjectKind::layer)) needed.push_back(layer.images);
    CHECK(needed == std::vector<std::size_t>{1, 1, 0});
    for (const StoredObject& object : inventory.objects) {
        CHECK(is_reclaimable(object) == (object.kind == ObjectKind::layer && object.images == 0));
        if (object.kind == ObjectKind::image) CHECK(object.needs.size() == 2);
    }
}

TEST_CASE_METHOD(StoreFixture, "an image without a name keeps nothing from being reclaimed") {
    {
        Lease lease = store->begin_lease();
        put_image(lease, "app", "blob");
    }
    tamper("DELETE FROM names");
    for (const StoredObject& object : take_inventory(root).objects) CHECK(is_reclaimable(object));
}

TEST_CASE_METHOD(StoreFixture, "what a running build holds is held") {
    Lease lease = store->begin_lease();
    publish_layer(lease, "held");
    const auto mount = CacheDirectory::acquire(root, cache("in use"), {});
    static_cast<void>(lease.log_path("step"));
    for (const StoredObject& object : take_inventory(root).objects) {
        CHECK(object.held);
        CHECK_FALSE(is_reclaimable(object));
    }
}

TEST_CASE_METHOD(StoreFixture, "the newest layer of a diff id is the image's, whichever was used last") {
    LayerId newest;
    {
        Lease lease = store->begin_lease();
        const LayerId older = publish_layer(lease, "older");
        lease.set_diff_id(older, DiffId(util::Sha256::of("tar of app")), 512);
        newest = put_image(lease, "app", "blob");
        CHECK(lease.find_layer(make_record("older").key) == older);
    }
    const auto layers = of_kind(take_inventory(root), ObjectKind::layer);
    REQUIRE(layers.size() == 2);
    CHECK(layers[0].id == newest.text());
    CHECK(layers[0].images == 1);
    CHECK(layers[1].images == 0);
}

TEST_CASE_METHOD(StoreFixture, "a cache mount is walked again only after it was used") {
    const std::string data = CacheDirectory::acquire(root, cache("npm"), {}).path();
    fs::last_write_time(fs::path(data).parent_path() / "lock",
                        fs::file_time_type::clock::now() - std::chrono::hours(1));
    const std::uint64_t before = of_kind(take_inventory(root), ObjectKind::mount).at(0).bytes;
    // Behind the store's back, which it cannot see.
    util::write_all(util::open_path(data + "/f", O_WRONLY | O_CREAT, 0600).get(), std::string(50'000, 'm'), "file");
    CHECK(of_kind(take_inventory(root), ObjectKind::mount).at(0).bytes == before);
    static_cast<void>(CacheDirectory::acquire(root, cache("npm"), {}));
    CHECK(of_kind(take_inventory(root), ObjectKind::mount).at(0).bytes > before + 40'000);
}

TEST_CASE_METHOD(StoreFixture, "no build waits for the measuring of very many files, unless there is a limit") {
    const auto publish = [](Store& to, const std::string& name) {
        Lease lease = to.begin_lease();
        lease.publish(lease.begin_layer(), std::string(300 << 10, 'n'), {}, make_record(name));
    };
    sqlite::Database database(root + "/index.db");
    publish(*store, "unlimited");
    CHECK(database.query_integer("SELECT count(*) FROM layers WHERE disk IS NULL") == 1);
    publish(*Store::open(root, {.limit = 1 << 30}), "limited");
    CHECK(database.query_integer("SELECT count(*) FROM layers WHERE disk IS NULL") == 0);
}

TEST_CASE_METHOD(StoreFixture, "objects without a recorded size are measured once") {
    {
        Lease lease = store->begin_lease();
        publish_layer(lease, "layer");
        put_blob(lease, "blob");
    }
    tamper("UPDATE layers SET disk = NULL; UPDATE blobs SET disk = NULL");
    for (const StoredObject& object : take_inventory(root).objects) CHECK(object.bytes > 0);
    sqlite::Database database(root + "/index.db");
    CHECK(database.query_integer("SELECT count(*) FROM layers WHERE disk IS NULL") == 0);
    CHECK(database.query_integer("SELECT count(*) FROM blobs WHERE disk IS NULL") == 0);
    CHECK(database.query_integer("SELECT disk FROM layers") > 0);
}
