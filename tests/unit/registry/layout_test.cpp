#include <imgbuild/error.hpp>

#include "oci/manifest.hpp"
#include "registry/layout_format.hpp"
#include "registry/oci_archive.hpp"
#include "registry/oci_layout.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/registry/sample_image.hpp"
#include "util/fd.hpp"
#include "util/files.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <thread>

namespace imgbuild::registry {
namespace {

namespace fs = std::filesystem;

const Platform kAmd64{.os = "linux", .architecture = "amd64"};
const std::vector<std::string> kName{"docker.io/library/app:1"};
const std::vector<std::string> kTag{"1"};

struct Layout {
    util::TempDir directory{fs::temp_directory_path().string(), "imgbuild-layout-"};
    std::string path = directory.path() + "/layout";

    std::string blob_path(const Digest& digest) const { return path + "/" + blob_file(digest); }
    std::string text_of(const std::string& file) const { return util::read_file(path + "/" + file, 1U << 20); }
    void write(const std::string& file, const std::string& text) const { std::ofstream(path + "/" + file) << text; }
    oci::ResolvedImage resolve(std::string_view selector, const Platform& wanted = kAmd64) const {
        return OciLayout::open(path).resolve(selector, wanted, {});
    }
};

TEST_CASE("an image written to a layout is found by tag, whole name, digest and as the only one") {
    const Layout t;
    const SampleImage image;
    OciLayoutWriter writer(t.path);
    image.push_to(writer, kName);
    for (const std::string& selector : {std::string("1"), kName[0], image.descriptor.digest.text(), std::string()}) {
        INFO(selector);
        CHECK(t.resolve(selector).manifest == image.manifest);
    }
    util::StringSink out;
    OciLayout::open(t.path).fetch(image.layer_descriptor(), out, {});
    CHECK(out.text() == image.layer);
    CHECK_FALSE(fs::exists(t.path + "/index.json.lock"));
}

TEST_CASE("writing an image twice changes nothing") {
    const Layout t;
    const SampleImage image;
    OciLayoutWriter writer(t.path);
    image.push_to(writer, kName);
    const std::string before = t.text_of("index.json");
    image.push_to(writer, kName);
    OciLayoutWriter again(t.path);
    image.push_to(again, kName);
    CHECK(t.text_of("index.json") == before);
}

TEST_CASE("a name moves to the new image, and other images stay") {
    const Layout t;
    const SampleImage first("first");
    const SampleImage second("second");
    const std::vector<std::string> names{"1", "keep"};
    OciLayoutWriter writer(t.path);
    first.push_to(writer, names);
    second.push_to(writer, kTag);
    CHECK(t.resolve("1").manifest == second.manifest);
    CHECK(t.resolve("keep").manifest == first.manifest);
}

TEST_CASE("two repositories may have the same tag in one layout") {
    const Layout t;
    const SampleImage first("first");
    const SampleImage second("second");
    const std::vector<std::string> a{"docker.io/library/a:1"};
    const std::vector<std::string> b{"docker.io/library/b:1"};
    OciLayoutWriter writer(t.path);
    first.push_to(writer, a);
    second.push_to(writer, b);
    CHECK(t.resolve(a[0]).manifest == first.manifest);
    CHECK(t.resolve(b[0]).manifest == second.manifest);
}

TEST_CASE("foreign entries and members of an index survive a new image") {
    const Layout t;
    const SampleImage image;
    OciLayoutWriter writer(t.path);
    const std::string foreign = R"({"digest":"sha256:)" + std::string(64, '9') +
                                R"(","mediaType":"application/vnd.example+json","odd":[1],"size":5})";
    t.write("index.json", R"({"schemaVersion":2,"manifests":[)" + foreign + R"(],"odd":true})");
    image.push_to(writer, kTag);
    CHECK_THAT(t.text_of("index.json"), Catch::Contains(foreign) && Catch::Contains(R"("odd":true)"));
}

TEST_CASE("a damaged blob is replaced") {
    const Layout t;
    const SampleImage image;
    OciLayoutWriter writer(t.path);
    image.push_to(writer, kTag);
    t.write(blob_file(image.layer_descriptor().digest), std::string(image.layer.size(), '?'));
    CHECK_FALSE(writer.has(image.layer_descriptor(), {}));
    image.push_to(writer, kTag);
    CHECK(writer.has(image.layer_descriptor(), {}));
}

TEST_CASE("content that differs from its descriptor leaves nothing behind") {
    const Layout t;
    OciLayoutWriter writer(t.path);
    CHECK_THROWS_AS(writer.put(oci::describe("a/b", "promised"), oci::open_text("delivered"), {}), CorruptData);
    CHECK(fs::is_empty(t.path + "/blobs/sha256"));
}

TEST_CASE("builds that write into one layout at once lose no image") {
    const Layout t;
    OciLayoutWriter writer(t.path);
    {
        std::vector<std::jthread> builds;
        for (int i = 0; i < 8; ++i) {
            builds.emplace_back([&, i] {
                const std::vector<std::string> tag{"t" + std::to_string(i)};
                OciLayoutWriter own(t.path);
                SampleImage("layer " + std::to_string(i)).push_to(own, tag);
            });
        }
    }
    for (int i = 0; i < 8; ++i) {
        CHECK(t.resolve("t" + std::to_string(i)).manifest == SampleImage("layer " + std::to_string(i)).manifest);
    }
}

TEST_CASE("without a selector the image named latest or the one for the platform is taken") {
    const Layout t;
    const SampleImage amd64("x", "linux/amd64");
    const SampleImage arm64("y", "linux/arm64");
    OciLayoutWriter writer(t.path);
    const auto list = [&](const SampleImage& image, const char* platform) {
        oci::Descriptor descriptor = image.descriptor;
        descriptor.platform = Platform::parse(platform);
        image.push_to(writer, {});
        writer.put_manifest(descriptor, image.manifest_bytes, {}, {});
    };
    list(amd64, "linux/amd64");
    list(arm64, "linux/arm64");
    CHECK(t.resolve("", Platform::parse("linux/arm64")).manifest == arm64.manifest);
    const std::vector<std::string> latest{"latest"};
    amd64.push_to(writer, latest);
    CHECK(t.resolve("", Platform::parse("linux/arm64")).manifest == amd64.manifest);
}

TEST_CASE("a missing image is told with the names that there are") {
    const Layout t;
    OciLayoutWriter writer(t.path);
    SampleImage("a").push_to(writer, kTag);
    const std::vector<std::string> two{"2"};
    SampleImage("b").push_to(writer, two);
    for (const char* selector : {"3", ""}) {
        try {
            t.resolve(selector);
            FAIL("found");
        } catch (const RegistryError& error) {
            CHECK(error.code() == "registry.no-such-image");
            CHECK(error.hint() == "there are: '1', '2'");
        }
    }
}

TEST_CASE("a directory that is no layout is told apart from a broken one") {
    const Layout t;
    util::make_directories(t.path);
    CHECK_THROWS_WITH(OciLayout::open(t.path), Catch::Contains("is no OCI layout"));
    t.write("oci-layout", R"({"imageLayoutVersion": 1.0.0})");
    CHECK_THROWS_AS(OciLayout::open(t.path), CorruptData);
    t.write("oci-layout", R"({"imageLayoutVersion":"2.0.0"})");
    CHECK_THROWS_WITH(OciLayout::open(t.path), Catch::Contains("'2.0.0' is not supported"));
    CHECK_THROWS_AS(OciLayoutWriter(t.path), CorruptData);
}

struct Written : Layout {
    SampleImage image;
    std::string layer_path = blob_path(image.layer_descriptor().digest);

    Written() {
        OciLayoutWriter writer(path);
        image.push_to(writer, kTag);
    }
    void fetch_layer() const {
        util::NullSink nowhere;
        OciLayout::open(path).fetch(image.layer_descriptor(), nowhere, {});
    }
};

TEST_CASE("a blob that is longer, shorter or other than its descriptor is refused") {
    const Written t;
    const std::string content = GENERATE("a layer!", "a laye", "a lager");
    t.write(blob_file(t.image.layer_descriptor().digest), content);
    CHECK_THROWS_AS(t.fetch_layer(), CorruptData);
}

TEST_CASE("a blob that is a symbolic link is refused, even to the right bytes") {
    const Written t;
    const std::string outside = t.directory.path() + "/outside";
    fs::rename(t.layer_path, outside);
    fs::create_symlink(outside, t.layer_path);
    CHECK_THROWS_AS(t.fetch_layer(), IoError);
}

TEST_CASE("a blob directory that is a link to the outside is refused") {
    const Written t;
    fs::rename(t.path + "/blobs", t.directory.path() + "/blobs");
    fs::create_symlink("../blobs", t.path + "/blobs");
    CHECK_THROWS_AS(t.fetch_layer(), IoError);
}

TEST_CASE("a blob that is a FIFO or a directory is refused at once") {
    const Written t;
    fs::remove(t.layer_path);
    SECTION("FIFO") {
        REQUIRE(::mkfifo(t.layer_path.c_str(), 0600) == 0);
    }
    SECTION("directory") {
        fs::create_directory(t.layer_path);
    }
    CHECK_THROWS_AS(t.fetch_layer(), CorruptData);
}

TEST_CASE("an index beyond the limit is refused") {
    const Written t;
    t.write("index.json", std::string(oci::kMaxManifestBytes + 1, ' '));
    CHECK_THROWS_AS(t.resolve("1"), Error);
}

// Archives ------------------------------------------------------------------------------------------------------------

std::string archive_of(const SampleImage& image, std::span<const std::string> names) {
    util::StringSink out;
    OciArchiveWriter archive(out);
    image.push_to(archive, names);
    archive.finish();
    return out.take();
}

TEST_CASE("an archive unpacked by tar is a layout with the image") {
    const Layout t;
    const SampleImage image("content of the layer");
    util::make_directories(t.path);
    const std::string tar = t.directory.path() + "/image.tar";
    std::ofstream(tar) << archive_of(image, kName);
    REQUIRE(std::system(("tar -C " + t.path + " -xf " + tar).c_str()) == 0);
    CHECK(t.resolve(kName[0]).manifest == image.manifest);
    CHECK(t.text_of(blob_file(image.layer_descriptor().digest)) == image.layer);
}

TEST_CASE("an archive of the same image is the same bytes") {
    const SampleImage image;
    const std::string first = archive_of(image, kName);
    CHECK(first == archive_of(image, kName));
    CHECK(first.size() % 512 == 0);
    CHECK(first.starts_with("oci-layout"));
}

TEST_CASE("an archive holds a blob once, however often it is put") {
    const SampleImage image;
    util::StringSink out;
    OciArchiveWriter archive(out);
    image.push_to(archive, kName);
    const std::size_t size = out.text().size();
    image.push_to(archive, kTag);
    CHECK(out.text().size() == size);
    CHECK(archive.has(image.layer_descriptor(), {}));
}

// Takes any number of bytes and keeps the first ones.
class HeadSink final : public util::Sink {
public:
    void write(std::span<const std::byte> bytes) override {
        if (head_.size() < 1U << 16) head_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    const std::string& head() const { return head_; }

private:
    std::string head_;
};

class OneByte final : public util::Source {
public:
    std::size_t read(std::span<std::byte> into) override {
        if (done_) return 0;
        done_ = true;
        into[0] = std::byte{0};
        return 1;
    }

private:
    bool done_ = false;
};

TEST_CASE("a blob of 8 GiB and more gets its size in a pax header") {
    HeadSink out;
    OciArchiveWriter archive(out);
    oci::Descriptor huge = oci::describe("a/b", "x");
    huge.size = std::uint64_t{1} << 33;
    CHECK_THROWS_AS(archive.put(huge, [] { return std::make_unique<OneByte>(); }, {}), CorruptData);
    CHECK_THAT(out.head(), Catch::Contains("19 size=8589934592\n"));
}

}  // namespace
}  // namespace imgbuild::registry
