// The format's versions: what an earlier imgbuild made is brought to this one, in one transaction or not at all.
#include "layers/index_db.hpp"

#include <imgbuild/error.hpp>

#include "layers/inventory.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/store_fixture.hpp"

using namespace imgbuild;
using namespace imgbuild::layers;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kVersion = 3;

/// A store as format 1 left it: the index of testdata/store/index-v1.sql and the objects that it speaks of.
struct OldStore {
    util::TempDir directory{"/tmp", "imgbuild-test-"};
    std::string root = directory.path() + "/store";

    OldStore() {
        fs::create_directories(root + "/layers/0123456789abcdef0123456789abcdef/tree");
        fs::create_directories(root + "/blobs/sha256");
        write("layers/0123456789abcdef0123456789abcdef/names", "names");
        write("layers/0123456789abcdef0123456789abcdef/tree/file", std::string(20'000, 'f'));
        write("blobs/sha256/" + std::string(64, '3'), "a blob.");
        execute(util::read_file("testdata/store/index-v1.sql", 1 << 20));
    }
    void write(const std::string& name, const std::string& text) const {
        util::write_all(util::open_path(root + "/" + name, O_WRONLY | O_CREAT, 0600).get(), text, name);
    }
    void execute(const std::string& sql) const { sqlite::Database(root + "/index.db").execute(sql); }
    std::int64_t query(const std::string& sql) const { return sqlite::Database(root + "/index.db").query_integer(sql); }
};

}  // namespace

TEST_CASE_METHOD(OldStore, "a store of format 1 is brought to this one with all that it knows") {
    const auto store = Store::open(root);
    CHECK(query("PRAGMA user_version") == kVersion);
    CHECK(store->find_image("docker.io/library/old:1"));
    Lease lease = store->begin_lease();
    CHECK(lease.find_layer(Digest(Digest::Bytes{0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22,
                                                0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22,
                                                0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22})));
    CHECK(query("SELECT count(*) FROM checksums") == 1);
    // What is new starts as unknown, and no image counts as old.
    CHECK(query("SELECT disk IS NULL FROM layers") == 1);
    CHECK(query("SELECT last_used > 1700000000000000000 FROM images") == 1);
    CHECK_FALSE(store->find_costs({util::Sha256::of("step")}).at(0));
    for (const StoredObject& object : take_inventory(root).objects) {
        if (object.kind == ObjectKind::layer) CHECK(object.bytes > 20'000);
        if (object.kind == ObjectKind::blob) CHECK(object.bytes > 0);
    }
}

TEST_CASE_METHOD(OldStore, "an upgraded index has the tables of a new one") {
    static_cast<void>(Store::open(root));
    static_cast<void>(Store::open(root + "-new"));
    const std::string all = "SELECT count(*) FROM sqlite_master";
    sqlite::Database database(root + "/index.db");
    database.execute("ATTACH '" + root + "-new/index.db' AS other");
    CHECK(database.query_integer("SELECT count(*) FROM (SELECT name, sql FROM main.sqlite_master EXCEPT"
                                 " SELECT name, sql FROM other.sqlite_master)") == 0);
    CHECK(database.query_integer("SELECT count(*) FROM (SELECT name, sql FROM other.sqlite_master EXCEPT"
                                 " SELECT name, sql FROM main.sqlite_master)") == 0);
    CHECK(database.query_integer(all) > 10);
}

TEST_CASE_METHOD(OldStore, "an upgrade that fails changes nothing") {
    // It stands where the new table has to be, so a later statement fails.
    execute("CREATE TABLE mounts (other)");
    CHECK_THROWS_AS(Store::open(root), Error);
    CHECK(query("PRAGMA user_version") == 1);
    CHECK(query("SELECT count(*) FROM pragma_table_info('layers') WHERE name = 'disk'") == 0);
    execute("DROP TABLE mounts");
    CHECK(Store::open(root)->find_image("docker.io/library/old:1"));
}

TEST_CASE_METHOD(OldStore, "a later format is refused and left as it is") {
    execute("PRAGMA user_version = 4");
    try {
        static_cast<void>(Store::open(root));
        FAIL("opened");
    } catch (const Error& error) {
        CHECK(error.code() == "store.too-new");
        CHECK(error.message().find("has format 4, and this imgbuild knows only up to 3") != std::string::npos);
    }
    CHECK(query("SELECT count(*) FROM pragma_table_info('layers') WHERE name = 'disk'") == 0);
}
