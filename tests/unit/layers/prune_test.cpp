#include "layers/prune.hpp"

#include "layers/cache_directory.hpp"
#include "layers/disk_use.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/store_fixture.hpp"
#include "util/clock.hpp"

using namespace imgbuild;
using namespace imgbuild::layers;
namespace fs = std::filesystem;

namespace {

std::size_t entries_in(const std::string& path) {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), {}));
}

/// An image of one layer, which has a blob.
void put_image(Lease& lease, const std::string& name) {
    const LayerId layer = publish_layer(lease, name);
    const DiffId diff_id(util::Sha256::of("tar of " + name));
    lease.set_diff_id(layer, diff_id, 512);
    lease.record_form(diff_id, {.blob = put_blob(lease, "blob of " + name), .media_type = "", .codec_id = "none"});
    const std::string config = "config of " + name;
    lease.put_image({.id = util::Sha256::of(config), .config = config, .diff_ids = {diff_id}, .names = {}}, {name});
}

void publish_in_a_lease(Store& store, const std::string& name) {
    Lease lease = store.begin_lease();
    publish_layer(lease, name);
}

}  // namespace

TEST_CASE_METHOD(StoreFixture, "pruning takes what no image needs, and leaves images whole") {
    {
        Lease lease = store->begin_lease();
        put_image(lease, "kept");
        publish_layer(lease, "cached only");
        put_blob(lease, "of no layer");
    }
    const PruneReport report = prune(root, PruneRules::unused());
    CHECK(report.images == 0);
    CHECK(report.layers == 1);
    CHECK(report.blobs == 1);
    CHECK(report.bytes > 0);
    CHECK(report.held == 0);

    Lease lease = store->begin_lease();
    CHECK(store->find_image("kept"));
    CHECK(lease.find_layer(make_record("kept").key));
    CHECK(lease.find_form(DiffId(util::Sha256::of("tar of kept")), "none"));
    CHECK_FALSE(lease.find_layer(make_record("cached only").key));
    CHECK(count_layers() == 1);
    CHECK(count_temporary("dead-") == 0);
}

TEST_CASE_METHOD(StoreFixture, "pruning all leaves a store as good as new") {
    {
        Lease lease = store->begin_lease();
        put_image(lease, "one");
        util::write_all(util::open_path(lease.log_path("step.log"), O_WRONLY | O_CREAT, 0600).get(), "text", "log");
        fs::create_directories(root + "/mounts/some/cache");
    }
    const PruneReport report = prune(root, PruneRules::everything());
    CHECK(report.images == 1);
    CHECK(report.layers == 1);
    CHECK(report.blobs == 1);
    CHECK(store->list_images().empty());
    for (const char* name : {"/layers", "/blobs/sha256", "/mounts", "/logs", "/tmp/claims"}) {
        CHECK(entries_in(root + name) == 0);
    }
    CHECK(count_temporary("dead-") == 0);
}

TEST_CASE_METHOD(StoreFixture, "what a live lease holds survives pruning all") {
    fs::create_directories(root + "/mounts/cache");
    Lease lease = store->begin_lease();
    const LayerId held = publish_layer(lease, "held");
    const BlobInfo blob = put_blob(lease, "held");
    const PruneReport report = prune(root, PruneRules::everything());
    CHECK(report.layers == 0);
    CHECK(report.held == 2);
    CHECK(lease.find_layer(make_record("held").key) == held);
    CHECK(read_blob(lease, blob) == "held");
    CHECK(fs::exists(root + "/mounts/cache"));
}

TEST_CASE_METHOD(StoreFixture, "pruning tells first what it would do, and does nothing else") {
    publish_in_a_lease(*store, "cached only");
    const PruneReport told = prune(root, PruneRules::unused(), PruneMode::only_tell);
    CHECK(told.layers == 1);
    CHECK(count_layers() == 1);
    const PruneReport done = prune(root, PruneRules::unused());
    CHECK(done.layers == told.layers);
    CHECK(done.bytes == told.bytes);
    CHECK(done.left == told.left);
    CHECK(count_layers() == 0);
}

TEST_CASE_METHOD(StoreFixture, "what pruning frees and leaves is what the disk says") {
    {
        Lease lease = store->begin_lease();
        put_image(lease, "kept");
        publish_layer(lease, std::string(200, 'x'));
        put_blob(lease, std::string(300'000, 'b'));
    }
    const std::uint64_t before = disk_use(root + "/layers") + disk_use(root + "/blobs");
    const PruneReport report = prune(root, PruneRules::unused());
    const std::uint64_t after = disk_use(root + "/layers") + disk_use(root + "/blobs");
    CHECK(report.bytes == before - after);
    CHECK(report.bytes > 300'000);
    // The index itself grows with what it is told.
    CHECK(report.left <= disk_use(root));
    CHECK(report.left + 100'000 > disk_use(root));
}

TEST_CASE_METHOD(StoreFixture, "an image that lost its last name goes, and what only it needs") {
    {
        Lease lease = store->begin_lease();
        put_image(lease, "app");
        put_image(lease, "other");
    }
    tamper("DELETE FROM names WHERE name = 'other'");
    const PruneReport report = prune(root, PruneRules::unused());
    CHECK(report.images == 1);
    CHECK(report.layers == 1);
    CHECK(report.blobs == 1);
    CHECK(store->list_images().size() == 1);
}

TEST_CASE_METHOD(StoreFixture, "a cache mount goes by its kind, and not while a step has it") {
    const CacheRequest request{.identity = util::Sha256::of("npm"), .name = "npm", .fill = [](auto&) {}, .waiting = {}};
    PruneRules rules;
    rules.kinds = {ObjectKind::mount};
    {
        const Lease lease = store->begin_lease();
        const auto used = CacheDirectory::acquire(root, request, {});
        const PruneReport report = prune(root, rules);
        CHECK(report.mounts == 0);
        CHECK(report.held == 1);
        CHECK(fs::exists(used.path()));
    }
    {
        // Beside a build that does not use it: its lock file stays, somebody may just be opening it.
        const Lease lease = store->begin_lease();
        CHECK(prune(root, rules).mounts == 1);
        CHECK(fs::exists(root + "/mounts/" + request.identity.hex() + "/0/lock"));
        CHECK_FALSE(fs::exists(root + "/mounts/" + request.identity.hex() + "/0/data"));
    }
    CHECK(prune(root, rules).mounts == 0);
    CHECK(entries_in(root + "/mounts") == 0);
}

TEST_CASE_METHOD(StoreFixture, "logs go by their kind, but for that of a running build") {
    {
        Lease lease = store->begin_lease();
        static_cast<void>(lease.log_path("step"));
    }
    Lease lease = store->begin_lease();
    static_cast<void>(lease.log_path("step"));
    PruneRules rules;
    rules.kinds = {ObjectKind::log};
    const PruneReport report = prune(root, rules);
    CHECK(report.logs == 1);
    CHECK(report.held == 1);
    CHECK(entries_in(root + "/logs") == 1);
}

TEST_CASE_METHOD(StoreFixture, "what is remembered of names and commands goes with everything, and not before") {
    const Digest step = util::Sha256::of("step");
    {
        Lease lease = store->begin_lease();
        KeyRecord record = make_record("one");
        record.cost = StepCost{.step = step, .time = std::chrono::milliseconds(70), .memory = 3};
        lease.publish(lease.begin_layer(), "", {}, record);
    }
    fs::create_directories(root + "/resolved");
    const util::Fd said = util::open_path(root + "/resolved/said", O_WRONLY | O_CREAT, 0600);
    util::write_all(said.get(), "what a registry said", "said");

    prune(root, PruneRules::unused());
    CHECK(fs::exists(root + "/resolved/said"));
    CHECK(store->find_costs({step}).at(0));
    prune(root, PruneRules::everything());
    CHECK_FALSE(fs::exists(root + "/resolved"));
    CHECK_FALSE(store->find_costs({step}).at(0));
    CHECK(count_temporary("dead-") == 0);
}

TEST_CASE_METHOD(StoreFixture, "checksums of files that nobody asked for in a month go with any pruning") {
    const FileFingerprint asked{.device = 1, .inode = 1, .size = 3, .mtime = 1, .ctime = 1};
    const FileFingerprint forgotten{.device = 1, .inode = 2, .size = 3, .mtime = 1, .ctime = 1};
    const Digest digest = util::Sha256::of("x");
    store->remember_checksums({{asked, digest}, {forgotten, digest}}, util::now_ns());
    tamper("UPDATE checksums SET last_used = last_used - 31 * 86400000000000 WHERE inode = 2");
    prune(root, PruneRules::unused(), PruneMode::only_tell);
    CHECK(store->find_checksums({forgotten}).at(0));  // which is asking for it
    tamper("UPDATE checksums SET last_used = last_used - 31 * 86400000000000 WHERE inode = 2");
    prune(root, PruneRules::unused());
    CHECK(store->find_checksums({asked, forgotten}) == std::vector<std::optional<Digest>>{digest, {}});
}
