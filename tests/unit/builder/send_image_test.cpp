#include "builder/send_image.hpp"

#include <imgbuild/error.hpp>

#include "oci/media_types.hpp"
#include "registry/memory_registry.hpp"
#include "registry/repository.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

#include <string>
#include <vector>

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

// An image of one layer, and a registry that it is sent to.
struct SendFixture {
    test::Recorder recorder;
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
