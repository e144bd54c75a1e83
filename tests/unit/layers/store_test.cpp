#include "layers/store.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/layers/store_fixture.hpp"

#include <sys/stat.h>
#include <map>
#include <thread>

using namespace imgbuild;
using namespace imgbuild::layers;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

template <class Body>
std::string error_code(Body&& body) {
    try {
        body();
    } catch (const Error& error) {
        return error.code();
    }
    return "";
}

void overwrite(const std::string& path, const std::string& text) {
    const util::Fd fd = util::open_path(path, O_WRONLY | O_TRUNC);
    util::write_all(fd.get(), text, path);
}

ImageRecord make_image(const std::string& config, std::int64_t created) {
    return {.id = util::Sha256::of(config),
            .config = config,
            .diff_ids = {DiffId(util::Sha256::of("a")), DiffId(util::Sha256::of("b"))},
            .created = created,
            .size = 7,
            .names = {}};
}

std::string default_root(const std::map<std::string, std::string>& variables, uid_t uid) {
    return Store::default_root(
        [&](const char* name) -> std::optional<std::string> {
            const auto found = variables.find(name);
            return found == variables.end() ? std::nullopt : std::optional(found->second);
        },
        uid);
}

}  // namespace

TEST_CASE("the default place of the store follows the environment") {
    CHECK(default_root({{"IMGBUILD_ROOT", "/r"}, {"HOME", "/h"}}, 0) == "/r");
    CHECK(default_root({{"IMGBUILD_ROOT", ""}, {"XDG_DATA_HOME", "/x"}}, 0) == "/var/lib/imgbuild");
    CHECK(default_root({{"XDG_DATA_HOME", "/x"}, {"HOME", "/h"}}, 1000) == "/x/imgbuild");
    CHECK(default_root({{"XDG_DATA_HOME", "relative"}, {"HOME", "/h"}}, 1000) == "/h/.local/share/imgbuild");
    CHECK(error_code([] { default_root({}, 1000); }) == "usage.no-store");
}

TEST_CASE_METHOD(StoreFixture, "a new store is closed to others and marked as a cache") {
    struct stat status {};
    REQUIRE(::stat(root.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0700);
    for (const char* name : {"/layers", "/mounts", "/tmp"}) {
        REQUIRE(::stat((root + name).c_str(), &status) == 0);
        CHECK((status.st_mode & 07777) == 0700);
    }
    CHECK(util::read_file(root + "/CACHEDIR.TAG", 1000).starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
}

TEST_CASE_METHOD(StoreFixture, "what a command took is remembered with its layer, and the last time counts") {
    const Digest step = util::Sha256::of("step");
    const StepCost first{.step = step, .time = std::chrono::milliseconds(70), .memory = 3};
    const StepCost second{.step = step, .time = std::chrono::milliseconds(9), .memory = ~std::uint64_t{0} >> 1};
    Lease lease = store->begin_lease();
    for (const StepCost& cost : {first, second}) {
        KeyRecord record = make_record(std::to_string(cost.memory));
        record.cost = cost;
        lease.publish(lease.begin_layer(), "", {}, record);
    }
    const auto found = store->find_costs({util::Sha256::of("other"), step});
    CHECK_FALSE(found.at(0));
    CHECK(found.at(1)->time == second.time);
    CHECK(found.at(1)->memory == second.memory);
}

TEST_CASE_METHOD(StoreFixture, "a store of a later version is refused with its path") {
    store.reset();
    tamper("PRAGMA user_version = 99");
    try {
        Store::open(root);
        FAIL("opened");
    } catch (const Error& error) {
        CHECK(error.code() == "store.too-new");
        CHECK(error.message().find(root + "/index.db") != std::string::npos);
        CHECK_FALSE(error.hint().empty());
    }
}

TEST_CASE_METHOD(StoreFixture, "an index that is no database is called damaged") {
    store.reset();
    fs::remove(root + "/index.db-wal");
    overwrite(root + "/index.db", std::string(8192, 'x'));
    CHECK(error_code([&] { Store::open(root); }) == "store.damaged");
}

TEST_CASE("a store that cannot be made says where and what to do") {
    try {
        Store::open("/proc/nowhere/store");
        FAIL("opened");
    } catch (const IoError& error) {
        CHECK(error.message().find("/proc/nowhere") != std::string::npos);
        CHECK(error.hint().find("IMGBUILD_ROOT") != std::string::npos);
    }
    CHECK(IoError("open", "/x", EROFS).code() == "io.permission");
}

TEST_CASE_METHOD(StoreFixture, "a published layer is found by its key, its other key and its diff id") {
    Lease lease = store->begin_lease();
    const LayerId id = publish_layer(lease, "one");
    lease.add_key(make_record("alias"), id);
    const DiffId diff_id(util::Sha256::of("tar"));
    lease.set_diff_id(id, diff_id, 512);

    Lease other = store->begin_lease();
    CHECK(other.find_layer(make_record("one").key) == id);
    CHECK(other.find_layer(make_record("alias").key) == id);
    CHECK(other.find_layer(diff_id) == id);
    CHECK(other.facts(id).tar_size == 512);
    CHECK(other.facts(id).diff_id == diff_id);
    CHECK(other.read_names(id) == "names of one");
    CHECK(util::read_file(other.tree_path(id) + "/file", 10) == "one");
    CHECK_FALSE(fs::exists(root + "/layers/" + id.text() + "/work"));
    CHECK_FALSE(other.find_layer(make_record("two").key));
}

TEST_CASE_METHOD(StoreFixture, "a second layer of a key gives way to the first") {
    Lease lease = store->begin_lease();
    const LayerId first = publish_layer(lease, "one");
    CHECK(publish_layer(lease, "one") == first);
    CHECK(count_layers() == 1);
}

TEST_CASE_METHOD(StoreFixture, "a layer takes the place of one that is missing or damaged") {
    Lease lease = store->begin_lease();
    const LayerId first = publish_layer(lease, "one");
    SECTION("missing") {
        util::remove_all(root + "/layers/" + first.text());
    }
    SECTION("damaged") {
        overwrite(root + "/layers/" + first.text() + "/names", std::string(50, 'x'));
    }
    const LayerId second = publish_layer(lease, "one");
    CHECK(second != first);
    CHECK(lease.find_layer(make_record("one").key) == second);
    CHECK(error_code([&] { lease.facts(first); }) == "store.unknown-layer");
}

TEST_CASE_METHOD(StoreFixture, "a layer whose tree is gone is a miss") {
    Lease lease = store->begin_lease();
    util::remove_all(lease.tree_path(publish_layer(lease, "one")));
    CHECK_FALSE(lease.find_layer(make_record("one").key));
}

TEST_CASE_METHOD(StoreFixture, "a layer that is not published leaves nothing") {
    Lease lease = store->begin_lease();
    { const UnfinishedLayer layer = lease.begin_layer(); }
    CHECK(count_layers() == 0);
    CHECK(std::distance(fs::recursive_directory_iterator(root + "/tmp"), {}) >= 2);
    { const Lease ended = std::move(lease); }
    CHECK(count_temporary("lease-") == 0);
}

TEST_CASE_METHOD(StoreFixture, "key records of a slot come newest first") {
    Lease lease = store->begin_lease();
    publish_layer(lease, "one");
    publish_layer(lease, "two");
    publish_layer(lease, "three");
    const auto records = lease.key_records("stage/0", 2);
    REQUIRE(records.size() == 2);
    CHECK(records[0].key == make_record("three").key);
    CHECK(records[1].key == make_record("two").key);
    CHECK(records[1].ingredients == "{\"v\":1}");
}

TEST_CASE_METHOD(StoreFixture, "a blob can be read back, and is kept once") {
    Lease lease = store->begin_lease();
    const BlobInfo blob = put_blob(lease, "content");
    CHECK(blob == BlobInfo{.digest = util::Sha256::of("content"), .size = 7});
    CHECK(put_blob(lease, "content") == blob);
    CHECK(read_blob(lease, blob) == "content");
    CHECK(lease.find_blob(blob.digest) == blob);
    const BlobInfo absent{.digest = util::Sha256::of("absent"), .size = 6};
    CHECK_THROWS_AS(lease.open_blob(absent), CorruptData);
}

TEST_CASE_METHOD(StoreFixture, "a blob that is not what was expected is not kept") {
    Lease lease = store->begin_lease();
    BlobWriter writer = lease.begin_blob();
    writer.write(util::as_bytes("evil"));
    CHECK_THROWS_AS(writer.commit(BlobInfo{.digest = util::Sha256::of("good"), .size = 4}), CorruptData);
    CHECK_FALSE(lease.find_blob(util::Sha256::of("evil")));
    CHECK(fs::is_empty(root + "/blobs/sha256"));
}

TEST_CASE_METHOD(StoreFixture, "a corrupt blob fails once and is then missing, and can be made again") {
    Lease writer = store->begin_lease();
    const BlobInfo blob = put_blob(writer, "content");
    overwrite(root + "/blobs/sha256/" + blob.digest.hex(), "CONTENT");
    const auto later = Store::open(root);
    Lease lease = later->begin_lease();
    CHECK_THROWS_AS(read_blob(lease, blob), CorruptData);
    CHECK_FALSE(lease.find_blob(blob.digest));
    CHECK(put_blob(lease, "content") == blob);
    CHECK(read_blob(lease, blob) == "content");
}

TEST_CASE_METHOD(StoreFixture, "what this process wrote can be copied unread, until somebody touches it") {
    Lease lease = store->begin_lease();
    const BlobInfo blob = put_blob(lease, "content");
    const std::string path = root + "/blobs/sha256/" + blob.digest.hex();
    CHECK(lease.open_blob(blob)->proof().value().file >= 0);
    CHECK(read_blob(lease, blob) == "content");
    const auto later = Store::open(root);
    Lease stranger = later->begin_lease();
    CHECK(stranger.open_blob(blob)->proof().value().file == -1);

    overwrite(path, "CONTENT");
    const timespec times[2] = {{.tv_sec = 1, .tv_nsec = 0}, {.tv_sec = 1, .tv_nsec = 0}};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
    const auto changed = lease.open_blob(blob);
    CHECK(changed->proof().value().file == -1);
    CHECK_THROWS_AS(util::read_all(*changed, 100, "blob"), CorruptData);
}

TEST_CASE_METHOD(StoreFixture, "a wrong claim about a blob's size does not cost the blob") {
    Lease lease = store->begin_lease();
    const BlobInfo blob = put_blob(lease, "content");
    CHECK_THROWS_AS(lease.open_blob({.digest = blob.digest, .size = 3}), CorruptData);
    CHECK(lease.find_blob(blob.digest) == blob);
}

TEST_CASE_METHOD(StoreFixture, "forms are found by codec, and pulled ones are preferred") {
    Lease lease = store->begin_lease();
    const DiffId diff_id(util::Sha256::of("tar"));
    const BlobForm gzip{.blob = put_blob(lease, "g"), .media_type = "application/gzip", .codec_id = "gzip-1"};
    const BlobForm pulled{.blob = put_blob(lease, "p"), .media_type = "application/zstd", .codec_id = "pulled"};
    lease.record_form(diff_id, gzip);
    lease.record_form(diff_id, pulled);
    CHECK(lease.find_form(diff_id, "gzip-1")->blob == gzip.blob);
    CHECK(lease.find_form(diff_id, "")->media_type == "application/zstd");
    CHECK_FALSE(lease.find_form(diff_id, "zstd-3"));
    fs::remove(root + "/blobs/sha256/" + pulled.blob.digest.hex());
    CHECK(lease.find_form(diff_id, "")->codec_id == "gzip-1");
}

TEST_CASE_METHOD(StoreFixture, "what another boot wrote and never synced is not believed") {
    Lease lease = store->begin_lease();
    const LayerId layer = publish_layer(lease, "one");
    const BlobInfo blob = put_blob(lease, "content");
    const auto lose_power = [&] { tamper("UPDATE layers SET boot_id = 'old'; UPDATE blobs SET boot_id = 'old'"); };
    const auto damage = [&] {
        overwrite(root + "/blobs/sha256/" + blob.digest.hex(), "CONTENT");
        overwrite(root + "/layers/" + layer.text() + "/names", std::string(50, 'x'));
    };

    SECTION("a good blob is kept and then trusted; a layer, whose contents nothing can check, is not") {
        lose_power();
        CHECK_FALSE(lease.find_layer(make_record("one").key));
        CHECK(lease.find_blob(blob.digest) == blob);
        damage();
        CHECK(lease.find_blob(blob.digest) == blob);
    }
    SECTION("the bad is dropped") {
        lose_power();
        damage();
        CHECK_FALSE(lease.find_layer(make_record("one").key));
        CHECK_FALSE(lease.find_blob(blob.digest));
    }
    SECTION("a layer whose diff id is known is believed if it still makes that tar") {
        lose_power();
        const LayerId packed = publish_packed(lease);
        tamper("UPDATE layers SET boot_id = 'old'");
        SECTION("it does") {
            CHECK(lease.find_layer(make_record("packed").key) == packed);
        }
        SECTION("it has other contents of the same length") {
            overwrite(root + "/layers/" + packed.text() + "/tree/file", "CONTENT");
            CHECK_FALSE(lease.find_layer(make_record("packed").key));
        }
        SECTION("a file is gone") {
            REQUIRE(::unlink((root + "/layers/" + packed.text() + "/tree/file").c_str()) == 0);
            CHECK_FALSE(lease.find_layer(make_record("packed").key));
        }
    }
    SECTION("after a sync there is nothing to verify") {
        store->sync();
        lose_power();
        damage();
        CHECK(lease.find_layer(make_record("one").key) == layer);
        CHECK(lease.find_blob(blob.digest) == blob);
    }
}

TEST_CASE_METHOD(StoreFixture, "an image is found by name and by a prefix of its id") {
    Lease lease = store->begin_lease();
    const ImageRecord image = make_image("{}", 5);
    lease.put_image(image, {"docker.io/library/b:1", "docker.io/library/a:1"});
    const auto found = store->find_image("docker.io/library/a:1");
    REQUIRE(found);
    CHECK(found->config == "{}");
    CHECK(found->diff_ids == image.diff_ids);
    CHECK(found->names == std::vector<std::string>{"docker.io/library/a:1", "docker.io/library/b:1"});
    CHECK(store->find_image(image.id.hex().substr(0, 4))->id == image.id);
    CHECK(store->find_image(image.id.text())->id == image.id);
    CHECK_FALSE(store->find_image(image.id.hex().substr(0, 3)));
    CHECK_FALSE(store->find_image("docker.io/library/c:1"));
    CHECK_THROWS_AS(lease.put_image({.id = image.id, .config = "other"}, {}), CorruptData);
}

TEST_CASE_METHOD(StoreFixture, "a name moves to the newest image that claims it") {
    Lease lease = store->begin_lease();
    lease.put_image(make_image("1", 10), {"n:1", "kept:1"});
    lease.put_image(make_image("2", 20), {"n:1"});
    CHECK(store->find_image("n:1")->config == "2");
    const auto images = store->list_images();
    REQUIRE(images.size() == 2);
    CHECK(images[0].config == "2");
    CHECK(images[1].names == std::vector<std::string>{"kept:1"});
    store->tag(images[1].id, "n:1");
    CHECK(store->find_image("n:1")->config == "1");
    CHECK(error_code([&] { store->tag(Digest(), "x:1"); }) == "store.unknown-image");
}

TEST_CASE_METHOD(StoreFixture, "a prefix that several ids begin with is refused") {
    Lease lease = store->begin_lease();
    std::map<std::string, std::string> seen;
    std::string twice;
    // Ids are hashes, so two of them share four digits after a few hundred (birthdays).
    for (int i = 0; twice.empty(); ++i) {
        const std::string config = std::to_string(i);
        const std::string prefix = util::Sha256::of(config).hex().substr(0, 4);
        const auto [at, fresh] = seen.emplace(prefix, config);
        if (fresh) continue;
        lease.put_image(make_image(at->second, 1), {});
        lease.put_image(make_image(config, 1), {});
        twice = prefix;
    }
    CHECK(error_code([&] { store->find_image(twice); }) == "usage.ambiguous-image");
}

TEST_CASE_METHOD(StoreFixture, "checksums are remembered, but not of files that may still change unseen") {
    const std::int64_t now = 1'700'000'000 * kSecond + 5;
    const FileFingerprint old{.device = 1, .inode = ~0ULL, .size = 3, .mtime = now - kSecond, .ctime = now - kSecond};
    const FileFingerprint fresh{.device = 1, .inode = 2, .size = 3, .mtime = 0, .ctime = now - 5'000'000};
    const FileFingerprint coarse{.device = 1, .inode = 3, .size = 3, .mtime = 0, .ctime = now - 5 - kSecond};
    const Digest digest = util::Sha256::of("x");
    store->remember_checksums({{old, digest}, {fresh, digest}, {coarse, digest}}, now);
    FileFingerprint changed = old;
    changed.ctime += 1;
    const auto found = store->find_checksums({old, fresh, coarse, changed});
    CHECK(found == std::vector<std::optional<Digest>>{digest, {}, {}, {}});
}

TEST_CASE_METHOD(StoreFixture, "a dead lease is swept and a living one is not") {
    const Lease living = store->begin_lease();
    fs::create_directories(root + "/tmp/lease-dead/layer-x/tree/deep");
    fs::create_directories(root + "/tmp/new-dead");
    tamper("INSERT INTO pins VALUES ('lease-dead', 'layer', 'x')");
    ::chmod((root + "/tmp/lease-dead/layer-x/tree/deep").c_str(), 0);
    const auto again = Store::open(root);
    CHECK(count_temporary("lease-") == 1);
    CHECK(count_temporary("new-") == 0);
    CHECK(count_temporary("dead-") == 0);
    sqlite::Database database(root + "/index.db");
    CHECK(database.query_integer("SELECT count(*) FROM pins") == 0);
}

TEST_CASE_METHOD(StoreFixture, "an object without a row goes with the dead lease that left it") {
    Lease lease = store->begin_lease();
    const LayerId kept = publish_layer(lease, "kept");
    const std::string orphan = root + "/layers/" + std::string(32, 'a');
    fs::create_directories(orphan + "/tree");
    fs::create_directories(root + "/tmp/lease-dead");
    const auto again = Store::open(root);
    CHECK_FALSE(fs::exists(orphan));
    CHECK(lease.find_layer(make_record("kept").key) == kept);
}

TEST_CASE_METHOD(StoreFixture, "what a lease finds is pinned until it ends") {
    Lease maker = store->begin_lease();
    publish_layer(maker, "one");
    put_blob(maker, "content");
    sqlite::Database database(root + "/index.db");
    CHECK(database.query_integer("SELECT count(*) FROM pins") == 2);
    {
        Lease finder = store->begin_lease();
        REQUIRE(finder.find_layer(make_record("one").key));
        CHECK(database.query_integer("SELECT count(*) FROM pins") == 3);
    }
    CHECK(database.query_integer("SELECT count(*) FROM pins") == 2);
}

TEST_CASE_METHOD(StoreFixture, "a claim is held by one at a time, and waiting for it can be cancelled") {
    Lease lease = store->begin_lease();
    const Digest key = util::Sha256::of("k");
    std::optional<util::FileLock> held = lease.claim(key, {});
    std::jthread waiter([&](std::stop_token stop) { CHECK_THROWS_AS(lease.claim(key, stop), Cancelled); });
    waiter.request_stop();
    waiter.join();
    Store::open(root);
    CHECK(fs::exists(root + "/tmp/claims/" + key.hex()));
    held.reset();
    Store::open(root);
    CHECK_FALSE(fs::exists(root + "/tmp/claims/" + key.hex()));
    held = lease.claim(key, {});
    CHECK(held);
}

TEST_CASE_METHOD(StoreFixture, "log paths are unique, plain names in a directory that exists") {
    Lease lease = store->begin_lease();
    const fs::path first = lease.log_path("RUN ../../etc/x");
    const fs::path second = lease.log_path("RUN ../../etc/x");
    CHECK(first != second);
    CHECK(first.filename() == "RUN_.._.._etc_x");
    CHECK(fs::is_directory(first.parent_path()));
    CHECK(first.parent_path().parent_path() == root + "/logs");
    CHECK(fs::path(lease.log_path("")).filename() == "log");
}

TEST_CASE_METHOD(StoreFixture, "only the newest 200 log directories are kept, and those of living leases") {
    Lease lease = store->begin_lease();
    const fs::path living = fs::path(lease.log_path("x")).parent_path();
    for (int i = 0; i < 205; ++i) fs::create_directory(root + "/logs/3000010" + std::to_string(1000 + i) + "-lease-x");
    fs::create_directory(root + "/logs/20000101T000000Z-lease-x");
    Store::open(root);
    CHECK(fs::exists(living));
    CHECK_FALSE(fs::exists(root + "/logs/20000101T000000Z-lease-x"));
    CHECK(std::distance(fs::directory_iterator(root + "/logs"), {}) == 201);
}
