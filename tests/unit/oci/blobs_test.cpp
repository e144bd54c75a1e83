#include "oci/blobs.hpp"

#include <imgbuild/error.hpp>

#include "oci/chain.hpp"
#include "oci/media_types.hpp"
#include "oci/resolve.hpp"
#include "oci/verifying_sink.hpp"
#include "tests/support/catch.hpp"

#include <map>

namespace imgbuild::oci {
namespace {

DiffId diff_id(char digit) {
    return DiffId(*Digest::parse("sha256:" + std::string(64, digit)));
}

TEST_CASE("a chain id is the digest of the chain below and the layer") {
    const std::vector<DiffId> stack{diff_id('1'), diff_id('2'), diff_id('3')};
    const Digest two = util::Sha256::of(stack[0].text() + " " + stack[1].text());
    const Digest three = util::Sha256::of(two.text() + " " + stack[2].text());
    CHECK(chain_id(std::span(stack).first(1)).digest() == stack[0].digest());
    CHECK(chain_id(stack).digest() == three);
    CHECK(chain_ids(stack) == std::vector<ChainId>{ChainId(stack[0].digest()), ChainId(two), ChainId(three)});
    CHECK(chain_ids({}).empty());
}

TEST_CASE("a verifying sink passes on what it promised and refuses the rest") {
    const Descriptor expected = describe("a/b", "hello");
    util::StringSink out;
    SECTION("the right bytes") {
        VerifyingSink sink(expected, out, "blob");
        sink.write(util::as_bytes("hel"));
        sink.write(util::as_bytes("lo"));
        sink.finish();
        CHECK(out.text() == "hello");
    }
    SECTION("a byte too many is refused before it is passed on") {
        VerifyingSink sink(expected, out, "blob");
        sink.write(util::as_bytes("hello"));
        CHECK_THROWS_AS(sink.write(util::as_bytes("!")), CorruptData);
        CHECK(out.text() == "hello");
    }
    SECTION("too few") {
        VerifyingSink sink(expected, out, "blob");
        sink.write(util::as_bytes("hell"));
        CHECK_THROWS_AS(sink.finish(), CorruptData);
    }
    SECTION("others") {
        VerifyingSink sink(expected, out, "blob");
        sink.write(util::as_bytes("hallo"));
        CHECK_THROWS_AS(sink.finish(), CorruptData);
    }
}

// The smallest real source: documents by digest.
class Documents final : public BlobSource {
public:
    Descriptor add(std::string_view media_type, const std::string& text) {
        const Descriptor descriptor = describe(media_type, text);
        texts_[descriptor.digest] = text;
        return descriptor;
    }
    std::string at(const Descriptor& descriptor) const { return texts_.at(descriptor.digest); }
    void fetch(const Descriptor& blob, util::Sink& into, std::stop_token) override {
        into.write(util::as_bytes(texts_.at(blob.digest)));
    }
    ResolvedImage resolve(const Descriptor& root, const char* platform) {
        return resolve_image({root, at(root)}, Platform::parse(platform), *this,
                             [this](const Descriptor& manifest) { return at(manifest); }, {});
    }

private:
    std::map<Digest, std::string> texts_;
};

struct Image {
    Documents documents;
    Manifest manifest;
    Descriptor descriptor;

    explicit Image(std::string_view config_type = media_type::kConfig, std::size_t diff_ids = 1) {
        ImageConfig config;
        config.platform = Platform::parse("linux/arm64");
        for (std::size_t i = 0; i < diff_ids; ++i) config.diff_ids.push_back(diff_id('7'));
        manifest.media_type = media_type::kManifest;
        manifest.config = documents.add(config_type, config.to_json());
        manifest.layers = {describe(media_type::kLayerZstd, "layer")};
        descriptor = documents.add(media_type::kManifest, manifest.to_json());
        descriptor.platform = config.platform;
    }
    Descriptor index_of(Descriptor entry) {
        Index index;
        index.media_type = media_type::kIndex;
        index.manifests = {std::move(entry)};
        return documents.add(media_type::kIndex, index.to_json());
    }
};

TEST_CASE("a manifest is resolved to its image whatever platform is wanted") {
    Image image;
    const ResolvedImage resolved = image.documents.resolve(image.descriptor, "linux/amd64");
    CHECK(resolved.manifest == image.manifest);
    CHECK(resolved.config.platform.text() == "linux/arm64");
    CHECK_FALSE(resolved.index_descriptor);
}

TEST_CASE("an index is resolved to the image for the wanted platform") {
    Image image;
    const Descriptor index = image.index_of(image.descriptor);
    const ResolvedImage resolved = image.documents.resolve(index, "linux/arm64");
    CHECK(resolved.manifest_descriptor.digest == image.descriptor.digest);
    CHECK(resolved.index_descriptor->digest == index.digest);
}

TEST_CASE("a platform that is missing is told with those that there are") {
    Image image;
    const Descriptor index = image.index_of(image.descriptor);
    try {
        image.documents.resolve(index, "linux/s390x");
        FAIL("resolved");
    } catch (const RegistryError& error) {
        CHECK(error.code() == "registry.no-such-platform");
        CHECK(error.hint() == "there are: linux/arm64");
    }
}

TEST_CASE("an index in an index, an artifact and a wrong number of layers are refused") {
    SECTION("nested index") {
        Image image;
        Descriptor inner = image.index_of(image.descriptor);
        inner.platform = Platform::parse("linux/arm64");
        const Descriptor outer = image.index_of(inner);
        CHECK_THROWS_AS(image.documents.resolve(outer, "linux/arm64"), CorruptData);
    }
    SECTION("artifact") {
        Image image("application/vnd.example.config+json");
        CHECK_THROWS_WITH(image.documents.resolve(image.descriptor, "linux/arm64"), Catch::Contains("artifact"));
    }
    SECTION("layers") {
        Image image(media_type::kConfig, 2);
        CHECK_THROWS_WITH(image.documents.resolve(image.descriptor, "linux/arm64"), Catch::Contains("1 layers"));
    }
}

TEST_CASE("a document that says to be huge is not even fetched") {
    Documents documents;
    Descriptor huge = describe("a/b", "x");
    huge.size = 100;
    CHECK_THROWS_AS(fetch_document(documents, huge, 99, {}), CorruptData);
}

}  // namespace
}  // namespace imgbuild::oci
