#include "builder/image.hpp"

#include <imgbuild/error.hpp>

#include "oci/media_types.hpp"
#include "registry/memory_registry.hpp"
#include "registry/repository.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"
#include "tests/unit/builder/one_file_layer.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

FileSystem stack(std::size_t base_layers, std::size_t own_layers) {
    FileSystem out;
    out.base_time = 1'000'000'000;
    out.base_layers = base_layers;
    for (std::size_t i = 0; i < base_layers + own_layers; ++i) {
        auto layer = std::make_shared<Layer>(util::Sha256::of(std::to_string(i)));
        layer->diff_id = DiffId(util::Sha256::of("diff " + std::to_string(i)));
        out.layers.push_back(std::move(layer));
    }
    return out;
}

std::uint8_t low_byte(const FileSystem& fs) {
    return fs.layers.back()->identity.bytes().back();
}

struct ImageFixture {
    test::Directory directory;
    std::shared_ptr<layers::Store> store = layers::Store::open(directory.at("store"));
    layers::Lease lease = store->begin_lease();
    LayerForms forms{lease, 1};
    test::Recorder recorder;

    Image finish(oci::ImageConfig config, const FileSystem& fs) {
        return finish_image({.config = std::move(config), .fs = fs, .time = 77}, forms, 2,
                            {.stop = {}, .progress = recorder});
    }
};

oci::HistoryEntry entry(std::string text, std::optional<oci::Timestamp> created) {
    oci::HistoryEntry out;
    out.created_by = std::move(text);
    out.created = created;
    return out;
}

// A sink that begins blobs, and remembers what was done to it.
class EarlySink final : public oci::BlobSink {
public:
    std::vector<std::string> log;
    std::map<Digest, std::string> blobs;

    std::unique_ptr<oci::NamelessBlob> begin_blob() override { return std::make_unique<Begun>(*this); }
    bool has(const oci::Descriptor& blob, std::stop_token) override { return blobs.contains(blob.digest); }
    void put(const oci::Descriptor& blob, const oci::OpenContent& open, std::stop_token) override {
        log.push_back("put");
        blobs[blob.digest] = util::read_all(*open(), 1U << 30, "blob");
    }
    void put_manifest(const oci::Descriptor&, std::string_view, std::span<const std::string>,
                      std::stop_token) override {
        log.push_back("manifest");
    }

private:
    class Begun final : public oci::NamelessBlob {
    public:
        explicit Begun(EarlySink& sink) : sink_(sink) {}
        void write(std::span<const std::byte> bytes) override { content_.write(bytes); }
        void keep(const oci::Descriptor& blob) override {
            sink_.log.push_back("kept");
            sink_.blobs[blob.digest] = content_.take();
        }

    private:
        EarlySink& sink_;
        util::StringSink content_;
    };
};

// Layers of which some are large, as steps leave them.
struct PackFixture : ImageFixture {
    const std::string large = std::string(9U << 20, 'x');
    const Packing packing{.codec = {.kind = layers::Codec::Kind::zstd}};
    FileSystem fs;
    EarlySink sink;

    std::vector<layers::BlobForm> pack() {
        return pack_layers(fs, forms, packing, 2, {.stop = {}, .progress = recorder}, &sink);
    }
    void add(const std::string& content) { fs.layers.push_back(test::one_file_layer(lease, content)); }
};

// An image of one layer, and a registry that it is sent to.
struct SendFixture : ImageFixture {
    registry::MemoryRegistry server{"http://127.0.0.1:5000"};
    registry::RegistryClient client{server, {}};
    registry::Repository repository{client, Reference::parse("127.0.0.1:5000/app")};
    const std::string layer = "a layer's bytes";
    const std::vector<std::string> tags{"1"};
    PackedImage packed;

    SendFixture() {
        packed.config_text = "{}";
        packed.manifest.media_type = oci::media_type::kManifest;
        packed.manifest.config = oci::describe(oci::media_type::kConfig, packed.config_text);
        packed.manifest.layers = {oci::describe(oci::media_type::kLayerGzip, layer)};
        packed.manifest_text = packed.manifest.to_json();
        packed.descriptor = oci::describe(oci::media_type::kManifest, packed.manifest_text);
        packed.open_layer = [this](std::size_t, const Work&) { return oci::open_text(layer)(); };
    }

    void send() { send_image(packed, repository, tags, {.stop = {}, .progress = recorder}, 2); }
};

}  // namespace

TEST_CASE("the time of a layer is 256 seconds per position above the base, and the low byte of its key") {
    const FileSystem fs = stack(2, 1);
    CHECK(fs.next_time() == 1'000'000'000 + 2 * 256);
    CHECK(layer_time(fs.next_time(), fs.layers.back()->identity, {}) == fs.next_time() + low_byte(fs));
}

TEST_CASE("an explicit time bounds the time of a layer and never raises it") {
    const Digest key;
    CHECK(layer_time(1000, key, 500) == 500);
    CHECK(layer_time(1000, key, 5000) == 1000);
}

TEST_CASE("the newest time is that of the last layer, or the base's if there is none of ours") {
    const FileSystem fs = stack(1, 3);
    CHECK(newest_time(fs, {}) == 1'000'000'000 + 3 * 256 + low_byte(fs));
    CHECK(newest_time(stack(2, 0), {}) == 1'000'000'000);
}

TEST_CASE_METHOD(ImageFixture, "an image's id is the digest of its config, which lists its diff ids") {
    const Image image = finish(test::image_config(), stack(2, 0));
    CHECK(image.id == util::Sha256::of(image.config_text));
    CHECK(oci::parse_image_config(image.config_text).diff_ids ==
          std::vector<DiffId>{DiffId(util::Sha256::of("diff 0")), DiffId(util::Sha256::of("diff 1"))});
}

TEST_CASE_METHOD(ImageFixture, "times are filled in where there are none, so a base's history keeps its own") {
    oci::ImageConfig config = test::image_config();
    const oci::Timestamp old{.seconds = 5, .nanoseconds = 0};
    config.history = {entry("old", old), entry("new", std::nullopt)};
    const Image image = finish(config, stack(2, 0));
    CHECK(image.config.created->seconds == 77);
    CHECK(image.config.history.at(0).created->seconds == 5);
    CHECK(image.config.history.at(1).created->seconds == 77);
}

TEST_CASE_METHOD(PackFixture, "large layers go where they are wanted while they are packed, in their order") {
    add("small");
    add(large);
    add("small as well");
    add(large + "!");
    add("above all that is large");
    const auto blobs = pack();
    CHECK(sink.log == std::vector<std::string>{"put", "kept", "put", "kept"});
    for (std::size_t i = 0; i < 4; ++i) {
        const std::string& content = sink.blobs.at(blobs[i].blob.digest);
        CHECK(content.size() == blobs[i].blob.size);
        CHECK(util::Sha256::of(content) == blobs[i].blob.digest);
        CHECK(lease.find_blob(blobs[i].blob.digest));
    }
    CHECK_FALSE(sink.blobs.contains(blobs[4].blob.digest));
}

TEST_CASE_METHOD(PackFixture, "what is packed already, or small, is left to who sends the image") {
    add("small");
    add(large);
    sink.log.clear();
    static_cast<void>(forms.ensure_blob(*fs.layers[1], packing.codec, {.stop = {}, .progress = recorder}));
    static_cast<void>(pack());
    CHECK(sink.log.empty());
}

TEST_CASE_METHOD(PackFixture, "packing finds the diff ids, so that no layer is read for them") {
    add(large);
    static_cast<void>(pack());
    REQUIRE(fs.layers[0]->diff_id);
    CHECK(fs.layers[0]->diff_id == lease.facts(*fs.layers[0]->id).diff_id);
}

TEST_CASE_METHOD(SendFixture, "blobs that a registry has lost when the manifest comes are sent again") {
    server.misbehave({.lost_blobs = 1});
    send();
    CHECK(server.manifest("app", "1") == packed.manifest_text);
    CHECK(server.blob("app", packed.manifest.layers[0].digest) == layer);
    CHECK(server.blob("app", packed.manifest.config.digest) == "{}");
}

TEST_CASE_METHOD(SendFixture, "a registry that always loses blobs is an error of its own, after four tries") {
    server.misbehave({.lost_blobs = 100});
    try {
        send();
        FAIL("nothing was thrown");
    } catch (const RegistryError& error) {
        CHECK(error.code() == "registry.blob-unknown");
        CHECK(error.frames().back() == "giving up after 4 tries");
    }
    CHECK_FALSE(server.manifest("app", "1"));
}
