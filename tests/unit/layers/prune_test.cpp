#include "layers/prune.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/layers/store_fixture.hpp"

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

}  // namespace

TEST_CASE_METHOD(StoreFixture, "pruning takes what no image needs, and leaves images whole") {
    {
        Lease lease = store->begin_lease();
        put_image(lease, "kept");
        publish_layer(lease, "cached only");
        put_blob(lease, "of no layer");
    }
    const PruneReport report = prune(root, PruneScope::unused);
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
    const PruneReport report = prune(root, PruneScope::all);
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
    const PruneReport report = prune(root, PruneScope::all);
    CHECK(report.layers == 0);
    CHECK(report.held == 2);
    CHECK(lease.find_layer(make_record("held").key) == held);
    CHECK(read_blob(lease, blob) == "held");
    CHECK(fs::exists(root + "/mounts/cache"));
}
