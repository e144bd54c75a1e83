#include "builder/packed_image.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"
#include "tests/unit/builder/one_file_layer.hpp"
#include "tests/unit/builder/store_fixture.hpp"

#include <cerrno>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

// A sink that begins blobs, and remembers what was done to it.
class EarlySink final : public oci::BlobSink {
public:
    bool in_order = true;
    /// Called by put(), if it is set.
    std::function<void()> on_put;
    std::vector<std::string> log;
    std::map<Digest, std::string> blobs;

    bool wants_order() const override { return in_order; }

    std::unique_ptr<oci::NamelessBlob> begin_blob() override { return std::make_unique<Begun>(*this); }
    bool has(const oci::Descriptor& blob, std::stop_token) override {
        const std::lock_guard lock(mutex_);
        return blobs.contains(blob.digest);
    }
    void put(const oci::Descriptor& blob, const oci::OpenContent& open, std::stop_token) override {
        if (on_put) on_put();
        std::string content = util::read_all(*open(), 1U << 30, "blob");
        const std::lock_guard lock(mutex_);
        log.push_back("put");
        blobs[blob.digest] = std::move(content);
    }
    void put_manifest(const oci::Descriptor&, std::string_view, std::span<const std::string>,
                      std::stop_token) override {
        log.push_back("manifest");
    }

private:
    std::mutex mutex_;
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
struct PackFixture : test::StoreFixture {
    const std::string large = std::string(9U << 20, 'x');
    const Packing packing{.codec = {.kind = layers::Codec::Kind::zstd}};
    FileSystem fs;
    EarlySink sink;

    std::vector<layers::BlobForm> pack() { return pack_layers(fs, forms, packing, 2, work, &sink); }
    void pack_before(std::size_t i) { static_cast<void>(forms.ensure_blob(*fs.layers[i], packing.codec, work)); }
    void add(const std::string& content) { fs.layers.push_back(test::one_file_layer(lease, content)); }
};

}  // namespace

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
    sink.in_order = GENERATE(true, false);
    add("small");
    add(large);
    if (!sink.in_order) pack_before(0);
    pack_before(1);
    static_cast<void>(pack());
    CHECK(sink.log.empty());
}

TEST_CASE_METHOD(PackFixture, "a registry gets all layers, each once, while others are packed") {
    sink.in_order = false;
    add("one");
    add("two");
    add("one");
    pack_before(0);
    // Nobody packs the second layer if the first has to be sent before.
    sink.on_put = [&] {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (!lease.facts(*fs.layers[1]->id).diff_id && std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        CHECK(lease.facts(*fs.layers[1]->id).diff_id);
    };
    const auto blobs = pack();
    CHECK(sink.log == std::vector<std::string>{"put", "put"});
    CHECK(blobs[0].blob == blobs[2].blob);
    CHECK(sink.blobs.contains(blobs[0].blob.digest));
    CHECK(sink.blobs.contains(blobs[1].blob.digest));
}

TEST_CASE_METHOD(PackFixture, "what goes wrong while a layer is sent ends the packing") {
    sink.in_order = false;
    add("one");
    sink.on_put = [] { throw IoError("send", "one", EIO); };
    CHECK_THROWS_AS(pack(), IoError);
}

TEST_CASE_METHOD(PackFixture, "packing finds the diff ids, so that no layer is read for them") {
    add(large);
    static_cast<void>(pack());
    REQUIRE(fs.layers[0]->diff_id);
    CHECK(fs.layers[0]->diff_id == lease.facts(*fs.layers[0]->id).diff_id);
}
