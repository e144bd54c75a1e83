// One suite for everything that takes images: what the header of oci/blobs.hpp promises.
#include <imgbuild/error.hpp>

#include "registry/client.hpp"
#include "registry/memory_registry.hpp"
#include "registry/oci_archive.hpp"
#include "registry/oci_layout.hpp"
#include "registry/repository.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/registry/sample_image.hpp"
#include "util/files.hpp"

#include <filesystem>
#include <memory>

namespace imgbuild::registry {
namespace {

struct Kind {
    virtual ~Kind() = default;
    virtual oci::BlobSink& sink() = 0;
};

struct LayoutKind final : Kind {
    util::TempDir directory{std::filesystem::temp_directory_path().string(), "imgbuild-sink-"};
    OciLayoutWriter writer{directory.path()};
    oci::BlobSink& sink() override { return writer; }
};

struct ArchiveKind final : Kind {
    util::StringSink out;
    OciArchiveWriter writer{out};
    oci::BlobSink& sink() override { return writer; }
};

struct RepositoryKind final : Kind {
    MemoryRegistry registry{"http://127.0.0.1:5000"};
    RegistryClient client{registry, {}};
    Repository repository{client, Reference::parse("127.0.0.1:5000/app")};
    oci::BlobSink& sink() override { return repository; }
};

std::unique_ptr<Kind> make(const std::string& name) {
    if (name == "layout") return std::make_unique<LayoutKind>();
    if (name == "archive") return std::make_unique<ArchiveKind>();
    return std::make_unique<RepositoryKind>();
}

TEST_CASE("every blob sink keeps what the interface promises") {
    const std::string name = GENERATE("layout", "archive", "repository");
    INFO(name);
    const auto kind = make(name);
    oci::BlobSink& sink = kind->sink();
    const SampleImage image;
    const oci::Descriptor& layer = image.layer_descriptor();

    SECTION("a blob is there after it was put, and may be put again") {
        CHECK_FALSE(sink.has(layer, {}));
        sink.put(layer, oci::open_text(image.layer), {});
        CHECK(sink.has(layer, {}));
        CHECK_NOTHROW(sink.put(layer, oci::open_text(image.layer), {}));
    }
    SECTION("an empty blob is a blob") {
        const oci::Descriptor empty = oci::describe("a/b", "");
        sink.put(empty, oci::open_text(""), {});
        CHECK(sink.has(empty, {}));
    }
    SECTION("content that is longer, shorter or other is refused") {
        const std::string content = GENERATE("a layer!", "a laye", "a lager");
        CHECK_THROWS_AS(sink.put(layer, oci::open_text(content), {}), CorruptData);
    }
    SECTION("a manifest without tags is taken") {
        const std::vector<std::string> none;
        CHECK_NOTHROW(image.push_to(sink, none));
    }
    SECTION("a stop request ends a put") {
        std::stop_source stop;
        stop.request_stop();
        CHECK_THROWS_AS(sink.put(layer, oci::open_text(image.layer), stop.get_token()), Cancelled);
    }
}

}  // namespace
}  // namespace imgbuild::registry
