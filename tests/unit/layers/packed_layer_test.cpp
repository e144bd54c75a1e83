// Layers that live by their blob alone.
#include "layers/fsck.hpp"
#include "layers/inventory.hpp"
#include "layers/prune.hpp"
#include "layers/unpack.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"
#include "tests/unit/layers/store_fixture.hpp"

using namespace imgbuild;
using namespace imgbuild::layers;
namespace fs = std::filesystem;

namespace {

struct Fixture : StoreFixture {
    const NameIndex names{{test::directory("dir"), test::file("dir/file", 7), test::file("empty", 0)}};
    const KeyRecord record = make_record("packed");
    DiffId diff_id;
    BlobInfo blob;

    static void give(const Entry&, const std::function<void(util::Source&)>& take) {
        util::MemorySource content("content");
        take(content);
    }

    LayerId publish(Lease& lease, OnConflict on_conflict = OnConflict::keep) {
        BlobWriter writer = lease.begin_hashed_blob();
        Packer packer({.kind = Codec::Kind::none}, &writer, 1);
        write_layer_tar(names, give, packer.stream());
        const PackResult packed = packer.finish();
        diff_id = packed.diff_id;
        blob = writer.commit(BlobInfo{.digest = packed.blob.value().digest, .size = packed.blob.value().size});
        return lease.publish_packed(names.serialize(), {.diff_id = diff_id, .tar_size = packed.tar_size},
                                    {.blob = blob, .media_type = "tar", .codec_id = "none"}, record, on_conflict);
    }

    void add_tree(Lease& lease, const LayerId& id) const {
        UnfinishedLayer unfinished = lease.begin_layer();
        const auto content = lease.open_blob(blob);
        const UnpackResult result = unpack_layer(*content, util::RootedDir::open(unfinished.tree()));
        CHECK(result.diff_id == diff_id);
        lease.add_tree(id, std::move(unfinished), result.names.serialize());
    }

    std::string blob_path() const { return root + "/blobs/sha256/" + blob.digest.hex(); }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a plain blob is the tar, so it has the digest that is the diff id") {
    Lease lease = store->begin_lease();
    publish(lease);
    CHECK(blob.digest == diff_id.digest());
    CHECK(util::Sha256::of(read_blob(lease, blob)) == blob.digest);
}

TEST_CASE_METHOD(Fixture, "a layer without a tree is found by its key and its diff id, and has names") {
    Lease lease = store->begin_lease();
    const LayerId id = publish(lease);
    CHECK_FALSE(lease.has_tree(id));
    CHECK_FALSE(fs::exists(lease.tree_path(id)));
    Lease other = store->begin_lease();
    CHECK(other.find_layer(record.key) == id);
    CHECK(other.find_layer(diff_id) == id);
    CHECK(NameIndex::parse(other.read_names(id)) == names);
    CHECK(other.facts(id).diff_id == diff_id);
    CHECK(publish(other) == id);
    CHECK(fsck(root, {.deep = true}).good());
}

TEST_CASE_METHOD(Fixture, "a layer gets its tree later, once, and keeps it") {
    Lease lease = store->begin_lease();
    const LayerId id = publish(lease);
    add_tree(lease, id);
    CHECK(lease.has_tree(id));
    CHECK(util::read_file(lease.tree_path(id) + "/dir/file", 100) == "content");
    add_tree(lease, id);  // somebody else's; the first stays
    CHECK(lease.find_layer(record.key) == id);
    util::remove_all(blob_path());
    CHECK(store->begin_lease().find_layer(record.key) == id);
    CHECK(count_layers() == 1);
}

TEST_CASE_METHOD(Fixture, "a tree that a killed process left beside its row is replaced") {
    Lease lease = store->begin_lease();
    const LayerId id = publish(lease);
    fs::create_directories(lease.tree_path(id) + "/half");
    add_tree(lease, id);
    CHECK_FALSE(fs::exists(lease.tree_path(id) + "/half"));
    CHECK(fs::exists(lease.tree_path(id) + "/dir/file"));
}

TEST_CASE_METHOD(Fixture, "a layer whose only blob is lost or damaged is a miss") {
    Lease lease = store->begin_lease();
    const LayerId id = publish(lease);
    SECTION("lost") {
        util::remove_all(blob_path());
        CHECK_FALSE(lease.find_layer(record.key));
    }
    SECTION("of another boot that never saw its sync, and damaged") {
        tamper("UPDATE layers SET boot_id = 'other', synced = 0; UPDATE blobs SET boot_id = 'other', synced = 0");
        CHECK(lease.find_layer(record.key) == id);
        tamper("UPDATE layers SET boot_id = 'other', synced = 0; UPDATE blobs SET boot_id = 'other', synced = 0");
        fs::permissions(blob_path(), fs::perms::owner_write, fs::perm_options::add);
        util::write_all(util::open_path(blob_path(), O_WRONLY).get(), "x", "blob");
        CHECK_FALSE(lease.find_layer(record.key));
    }
    SECTION("until the blob is there again") {
        util::remove_all(blob_path());
        CHECK(publish(lease) == id);
        CHECK(lease.find_layer(record.key) == id);
    }
}

TEST_CASE_METHOD(Fixture, "what is published without the cache takes the key") {
    Lease lease = store->begin_lease();
    const LayerId first = publish(lease);
    const LayerId second = publish(lease, OnConflict::replace);
    CHECK(first != second);
    CHECK(lease.find_layer(record.key) == second);
}

TEST_CASE_METHOD(Fixture, "a blob stays as long as a layer lives by it, and goes with it") {
    {
        Lease lease = store->begin_lease();
        publish(lease);
    }
    // The blob is what was not used for longest.
    tamper("UPDATE blobs SET last_used = 1; UPDATE layers SET last_used = 2");
    PruneRules blobs_only = PruneRules::unused();
    blobs_only.kinds = {ObjectKind::blob};
    CHECK(prune(root, blobs_only).blobs == 0);
    const PruneReport report = prune(root, PruneRules::unused());
    CHECK(report.layers == 1);
    CHECK(report.blobs == 1);
    CHECK(fsck(root, {}).findings.empty());
}

TEST_CASE_METHOD(Fixture, "fsck tells of a layer whose blob is gone or damaged, and forgets it") {
    {
        Lease lease = store->begin_lease();
        publish(lease);
    }
    fs::permissions(blob_path(), fs::perms::owner_write, fs::perm_options::add);
    const bool gone = GENERATE(false, true);
    if (gone) {
        util::remove_all(blob_path());
    } else {
        util::write_all(util::open_path(blob_path(), O_WRONLY).get(), "x", "blob");
    }
    const FsckReport report = fsck(root, {.repair = true});
    std::vector<std::string> problems;
    for (const FsckFinding& finding : report.findings) problems.push_back(finding.problem);
    CHECK(problems == (gone ? std::vector<std::string>{"layer-lost", "blob-lost"}
                            : std::vector<std::string>{"blob-damaged", "layer-lost"}));
    CHECK(fsck(root, {}).findings.empty());
    CHECK_FALSE(store->begin_lease().find_layer(record.key));
}

TEST_CASE_METHOD(Fixture, "a tar is written again from a blob of any compression") {
    const auto kind = GENERATE(Codec::Kind::none, Codec::Kind::gzip, Codec::Kind::zstd);
    util::StringSink blob_bytes;
    Packer packer({.kind = kind}, &blob_bytes, 2);
    write_layer_tar(names, give, packer.stream());
    const PackResult packed = packer.finish();
    const std::string bytes = blob_bytes.take();
    util::MemorySource source(bytes);
    util::StringSink again;
    Packer second({.kind = Codec::Kind::gzip}, &again, 1);
    write_layer_tar(names, source, second.stream());
    CHECK(second.finish().diff_id == packed.diff_id);
}

TEST_CASE_METHOD(Fixture, "a blob that is not that of the names is an error") {
    util::StringSink blob_bytes;
    Packer packer({.kind = Codec::Kind::none}, &blob_bytes, 1);
    write_layer_tar(names, give, packer.stream());
    packer.finish();
    const std::string bytes = blob_bytes.take();
    util::MemorySource source(bytes);
    const NameIndex others({test::file("other", 7)});
    Packer second({}, nullptr, 1);
    CHECK_THROWS_WITH(write_layer_tar(others, source, second.stream()), Catch::Contains("'other' is not in it"));
}
