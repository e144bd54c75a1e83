// A real store, damaged in each way that fsck knows: found, repaired, and sound afterwards.
#include "layers/fsck.hpp"

#include <imgbuild/error.hpp>

#include "layers/inventory.hpp"
#include "layers/name_index.hpp"
#include "layers/pack.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"
#include "tests/unit/layers/store_fixture.hpp"

using namespace imgbuild;
using namespace imgbuild::layers;
namespace fs = std::filesystem;

namespace {

void write_file(const std::string& path, const std::string& text) {
    util::write_all(util::open_path(path, O_WRONLY | O_CREAT | O_TRUNC, 0644).get(), text, path);
}

/// A store with an image of one layer, which has a blob.
struct Fixture : StoreFixture {
    LayerId layer;
    BlobInfo blob;

    Fixture() {
        Lease lease = store->begin_lease();
        UnfinishedLayer work = lease.begin_layer();
        write_file(work.tree() + "/file", "content");
        fs::create_directory(work.tree() + "/dir");
        fs::create_symlink("file", work.tree() + "/link");
        const NameIndex names({test::file("file", 7), test::directory("dir"), test::soft_link("link", "file")});
        const PackResult packed =
            pack(names, util::RootedDir::open(work.tree()), {.kind = Codec::Kind::none}, nullptr, 1);
        const LayerFacts facts{.diff_id = packed.diff_id, .tar_size = packed.tar_size};
        layer = lease.publish(std::move(work), names.serialize(), facts, make_record("layer"));
        blob = put_blob(lease, "a blob");
        lease.record_form(packed.diff_id, {.blob = blob, .media_type = "tar", .codec_id = "none"});
        const std::string config = "config";
        lease.put_image({.id = util::Sha256::of(config), .config = config, .diff_ids = {packed.diff_id}, .names = {}},
                        {"app"});
    }

    std::string tree(const std::string& name) const { return root + "/layers/" + layer.text() + "/tree/" + name; }
    std::string blob_path() const { return root + "/blobs/sha256/" + blob.digest.hex(); }

    std::vector<std::string> problems(const FsckOptions& options = {}) const {
        std::vector<std::string> out;
        for (const FsckFinding& finding : fsck(root, options).findings) out.push_back(finding.problem);
        return out;
    }

    /// Looked for, found, repaired, and not found again.
    void check_found_and_repaired(const std::vector<std::string>& expected, bool deep = false) const {
        const FsckReport looked = fsck(root, {.deep = deep});
        CHECK_FALSE(looked.good());
        CHECK(problems({.deep = deep}) == expected);
        const FsckReport repaired = fsck(root, {.repair = true, .deep = deep});
        CHECK(repaired.good());
        CHECK(repaired.findings.size() == expected.size());
        CHECK(problems({.deep = true}).empty());
        CHECK_NOTHROW(take_inventory(root));
    }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a sound store has no problem") {
    const FsckReport report = fsck(root, {.deep = true});
    CHECK(report.good());
    CHECK(report.findings.empty());
    CHECK(report.images == 1);
    CHECK(report.layers == 1);
    CHECK(report.blobs == 1);
}

TEST_CASE_METHOD(Fixture, "rows without objects") {
    fs::remove_all(root + "/layers/" + layer.text());
    fs::remove(blob_path());
    check_found_and_repaired({"layer-lost", "blob-lost"});
}

TEST_CASE_METHOD(Fixture, "objects without rows") {
    fs::create_directories(root + "/layers/" + std::string(32, 'a') + "/tree");
    write_file(root + "/layers/stray", "");
    write_file(root + "/blobs/sha256/" + std::string(64, 'b'), "not what its name says");
    write_file(root + "/blobs/sha256/stray", "");
    check_found_and_repaired({"layer-without-row", "layer-without-row", "blob-without-row", "blob-without-row"});
    CHECK(count_layers() == 1);
    CHECK(std::distance(fs::directory_iterator(root + "/blobs/sha256"), {}) == 1);
}

TEST_CASE_METHOD(Fixture, "a blob without a row is taken in if its bytes are what its name says") {
    tamper("DELETE FROM blobs; DELETE FROM forms");
    check_found_and_repaired({"blob-without-row"});
    Lease lease = store->begin_lease();
    CHECK(read_blob(lease, blob) == "a blob");
}

TEST_CASE_METHOD(Fixture, "a blob whose bytes are not its digest's") {
    write_file(blob_path(), "A blob");
    check_found_and_repaired({"blob-damaged"});
    CHECK_FALSE(fs::exists(blob_path()));
}

TEST_CASE_METHOD(Fixture, "a name index that is damaged") {
    const std::string names = root + "/layers/" + layer.text() + "/names";
    SECTION("by its checksum") {
        write_file(names, std::string(100, 'x'));
    }
    SECTION("by being short") {
        write_file(names, "x");
    }
    check_found_and_repaired({"layer-names"});
    CHECK(count_layers() == 0);
}

TEST_CASE_METHOD(Fixture, "a tree that is not what its names say") {
    SECTION("a file is missing") {
        fs::remove(tree("file"));
    }
    SECTION("a file is shorter") {
        fs::resize_file(tree("file"), 3);
    }
    SECTION("a file became a directory") {
        fs::remove(tree("file"));
        fs::create_directory(tree("file"));
    }
    SECTION("a link leads elsewhere") {
        fs::remove(tree("link"));
        fs::create_symlink("elsewhere", tree("link"));
    }
    SECTION("there is something that was not") {
        write_file(tree("dir/more"), "");
    }
    check_found_and_repaired({"layer-tree"});
}

TEST_CASE_METHOD(Fixture, "contents that changed are found by looking deep, and only so") {
    write_file(tree("file"), "CONTENT");
    CHECK(problems().empty());
    check_found_and_repaired({"layer-content"}, true);
    Lease lease = store->begin_lease();
    CHECK_FALSE(lease.find_layer(make_record("layer").key));
}

TEST_CASE_METHOD(Fixture, "a size that was recorded wrongly is put right") {
    tamper("UPDATE layers SET disk = disk + 1");
    check_found_and_repaired({"layer-size"});
    CHECK(count_layers() == 1);
}

TEST_CASE_METHOD(Fixture, "a layer of another boot that never saw its sync") {
    tamper("UPDATE layers SET boot_id = 'another', synced = 0; UPDATE blobs SET boot_id = 'another', synced = 0");
    // A blob shows by its digest whether it is whole, and a layer by its diff id, if that is known.
    CHECK(problems().empty());
    tamper("UPDATE layers SET diff_id = NULL");
    check_found_and_repaired({"layer-unsynced"});
    sqlite::Database database(root + "/index.db");
    CHECK(database.query_integer("SELECT synced FROM blobs") == 1);
}

TEST_CASE_METHOD(Fixture, "rows that lead nowhere") {
    tamper(
        "INSERT INTO keys (key, layer_id, kind, slot, ingredients, created)"
        " VALUES (zeroblob(32), 'none', 'exec', '', '', 0);"
        "INSERT INTO forms VALUES (zeroblob(32), 'none', zeroblob(32), '');"
        "INSERT INTO names VALUES ('nothing', zeroblob(32));"
        "INSERT INTO blocks VALUES (1, 'none', zeroblob(32), 0, 0, 0), (2, 'none', zeroblob(32), 0, 0, 0)");
    check_found_and_repaired({"name-lost", "key-lost", "form-lost", "blocks-lost"});
    CHECK(store->find_image("app"));
}

TEST_CASE_METHOD(Fixture, "an image whose config is not its id's") {
    tamper("UPDATE images SET config = 'another'");
    check_found_and_repaired({"image-damaged"});
    CHECK(store->list_images().empty());
}

TEST_CASE_METHOD(Fixture, "what dead processes left in tmp/") {
    fs::create_directories(root + "/tmp/lease-dead");
    fs::create_directories(root + "/tmp/new-one");
    write_file(root + "/tmp/dead-file", "");
    write_file(root + "/tmp/something", "");
    tamper("INSERT INTO pins VALUES ('lease-gone', 'layer', 'none')");
    CHECK(problems() == std::vector<std::string>{"garbage", "garbage", "garbage", "garbage", "pins-lost"});
    CHECK(fsck(root, {.repair = true}).good());
    CHECK(problems().empty());
    CHECK(count_temporary("") == count_temporary("claims") + count_temporary("open.lock") +
                                     count_temporary("sweep.lock") + count_temporary("remove.lock"));
}

TEST_CASE_METHOD(Fixture, "an index that SQLite cannot read is set aside, and its blobs are taken in") {
    store.reset();
    write_file(root + "/index.db", std::string(8192, 'x'));
    fs::remove(root + "/index.db-wal");
    fs::remove(root + "/index.db-shm");
    CHECK(problems() == std::vector<std::string>{"index-damaged"});
    const FsckReport report = fsck(root, {.repair = true});
    CHECK(report.good());
    CHECK(problems().empty());
    Lease lease = Store::open(root)->begin_lease();
    CHECK(read_blob(lease, blob) == "a blob");
}

TEST_CASE_METHOD(Fixture, "a search tree that does not fit its table is made anew") {
    // Rows that the index on names does not have: it is dropped from the schema, a row comes, and it returns.
    tamper(
        "PRAGMA writable_schema = ON;"
        "CREATE TABLE saved AS SELECT * FROM sqlite_master WHERE name = 'names_by_image';"
        "DELETE FROM sqlite_master WHERE name = 'names_by_image'");
    tamper("INSERT INTO names SELECT 'more', id FROM images");
    tamper("PRAGMA writable_schema = ON; INSERT INTO sqlite_master SELECT * FROM saved; DROP TABLE saved");
    store.reset();
    check_found_and_repaired({"index-damaged"});
    CHECK(Store::open(root)->find_image("app"));
}

TEST_CASE_METHOD(Fixture, "an index that a running build has open is not set aside") {
    Lease lease = store->begin_lease();
    // As another process finds it: the file is no database any more, and its log is gone.
    const auto rename_index = [this](const std::string& from, const std::string& to) {
        for (const char* end : {"", "-wal", "-shm"}) fs::rename(root + from + end, root + to + end);
    };
    rename_index("/index.db", "/index.kept");
    write_file(root + "/index.db", std::string(8192, 'x'));
    try {
        fsck(root, {.repair = true});
        FAIL("it was set aside");
    } catch (const Error& error) {
        CHECK(error.code() == "store.busy");
    }
    rename_index("/index.kept", "/index.db");
}

TEST_CASE_METHOD(Fixture, "what a running build holds stays where it is") {
    Lease lease = store->begin_lease();
    REQUIRE(lease.find_layer(make_record("layer").key) == layer);
    fs::remove(tree("file"));
    const FsckReport report = fsck(root, {.repair = true});
    REQUIRE(report.findings.size() == 1);
    // It is found no more, but a step may stand on it.
    CHECK(fs::is_symlink(tree("link")));
    CHECK_FALSE(store->begin_lease().find_layer(make_record("layer").key));
    CHECK(problems().empty());
}
