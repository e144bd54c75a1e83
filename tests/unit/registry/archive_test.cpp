// Archives of images that are read: tables of contents of tars, OCI layouts in them, docker's archives.
#include <imgbuild/error.hpp>

#include "registry/docker_archive.hpp"
#include "registry/image_files.hpp"
#include "registry/layout_format.hpp"
#include "registry/oci_archive.hpp"
#include "registry/oci_layout.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/registry/sample_image.hpp"
#include "util/fd.hpp"
#include "util/file_sink.hpp"
#include "util/files.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace imgbuild::registry {
namespace {

namespace fs = std::filesystem;

const Platform kAmd64{.os = "linux", .architecture = "amd64"};
const std::vector<std::string> kName{"docker.io/library/app:1"};

// A directory whose content can be packed by tar.
struct Folder {
    util::TempDir directory{fs::temp_directory_path().string(), "imgbuild-archive-"};
    std::string content = directory.path() + "/content";
    std::string tar = directory.path() + "/image.tar";

    Folder() { util::make_directories(content); }
    void write(const std::string& name, const std::string& text) const {
        const fs::path path = content + "/" + name;
        fs::create_directories(path.parent_path());
        std::ofstream(path) << text;
    }
    const std::string& pack(const std::string& options = "") const {
        REQUIRE(std::system(fmt::format("tar -C {} {} -cf {} .", content, options, tar).c_str()) == 0);
        return tar;
    }
    const std::string& raw(const std::string& bytes) const {
        std::ofstream(tar, std::ios::binary) << bytes;
        return tar;
    }
};

std::string archive_of(const SampleImage& image, OciArchiveWriter::Docker docker) {
    util::StringSink out;
    OciArchiveWriter archive(out, docker);
    image.push_to(archive, kName);
    archive.finish();
    return out.take();
}

CorruptData corrupt(const std::function<void()>& action) {
    try {
        action();
    } catch (const CorruptData& error) {
        return error;
    }
    FAIL("nothing was thrown");
    throw std::logic_error("unreachable");
}

// An archive in a file, of which the layer is written before anybody knows its digest.
struct Begun {
    util::TempDir directory{fs::temp_directory_path().string(), "imgbuild-archive-"};
    std::string path = directory.path() + "/image.tar";
    util::AtomicFile file{path};
    util::FileSink out{file.fd(), path};
    OciArchiveWriter archive{out};
    SampleImage image{std::string(700'000, 'x')};

    // In pieces, as they come.
    static void write(oci::NamelessBlob& blob, const std::string& content) {
        const std::size_t half = content.size() / 2;
        blob.write(util::as_bytes(std::string_view(content).substr(0, half)));
        blob.write(util::as_bytes(std::string_view(content).substr(half)));
    }
    // Everything that is not there yet, in the order of archive_of().
    std::string finish() {
        image.push_to(archive, kName);
        archive.finish();
        file.commit();
        return util::read_file(path, 10'000'000);
    }
};

TEST_CASE_METHOD(Begun, "a layer that was written while it was made is where it would have been put") {
    const auto blob = archive.begin_blob();
    REQUIRE(blob);
    write(*blob, image.layer);
    CHECK_FALSE(archive.has(image.layer_descriptor(), {}));
    blob->keep(image.layer_descriptor());
    CHECK(archive.has(image.layer_descriptor(), {}));
    CHECK(finish() == archive_of(image, OciArchiveWriter::Docker::no));
}

TEST_CASE_METHOD(Begun, "of a layer that was not kept, or was there already, nothing is left") {
    SECTION("not kept") {
        write(*archive.begin_blob(), "half a layer that failed");
    }
    SECTION("there already") {
        archive.put(image.layer_descriptor(), oci::open_text(image.layer), {});
        const auto blob = archive.begin_blob();
        write(*blob, image.layer);
        blob->keep(image.layer_descriptor());
    }
    CHECK(finish() == archive_of(image, OciArchiveWriter::Docker::no));
}

TEST_CASE_METHOD(Begun, "a layer of another size than its descriptor says is refused") {
    {
        const auto blob = archive.begin_blob();
        write(*blob, image.layer + "!");
        CHECK_THROWS_AS(blob->keep(image.layer_descriptor()), CorruptData);
    }
    CHECK_FALSE(archive.has(image.layer_descriptor(), {}));
    CHECK(finish() == archive_of(image, OciArchiveWriter::Docker::no));
}

TEST_CASE("a stream takes no layer before its digest is known") {
    util::StringSink out;
    CHECK(OciArchiveWriter(out).begin_blob() == nullptr);
}

TEST_CASE("files of a tar are found and read in every common format") {
    const std::string format = GENERATE("ustar", "gnu", "pax", "v7");
    INFO(format);
    const Folder t;
    const std::string deep = "a/" + std::string(60, 'b') + "/" + std::string(30, 'c');
    t.write("one", "first");
    t.write(deep, std::string(2000, 'x'));
    if (format == "gnu" || format == "pax") t.write("a/" + std::string(200, 'd'), "long name");
    const TarFiles files(t.pack("--format=" + format));
    CHECK(files.read("one", 100) == "first");
    CHECK(files.read(deep, 3000) == std::string(2000, 'x'));
    CHECK(files.size_of(deep) == 2000);
    CHECK_FALSE(files.size_of("none"));
    CHECK_FALSE(files.size_of("a"));
    if (format == "gnu" || format == "pax") CHECK(files.read("a/" + std::string(200, 'd'), 100) == "long name");
}

TEST_CASE("links inside of a tar lead to their files, and never out or around") {
    const Folder t;
    t.write("x/layer.tar", "layer");
    fs::create_directories(t.content + "/y");
    fs::create_symlink("../x/layer.tar", t.content + "/y/layer.tar");
    fs::create_symlink("circle", t.content + "/circle");
    fs::create_symlink("../../../etc/passwd", t.content + "/out");
    fs::create_hard_link(t.content + "/x/layer.tar", t.content + "/z");
    const TarFiles files(t.pack("--sort=name"));
    CHECK(files.read("y/layer.tar", 100) == "layer");
    CHECK(files.read("z", 100) == "layer");
    CHECK_FALSE(files.size_of("out"));
    CHECK(corrupt([&] { files.size_of("circle"); }).code() == "corrupt.archive");
}

TEST_CASE("what is no tar, or half of one, is refused with the reason") {
    const Folder t;
    t.write("file", std::string(5000, 'x'));
    const std::string whole = util::read_file(t.pack(), 1U << 20);
    std::string damaged = whole;
    damaged[600] = '?';
    const auto [bytes, part] =
        GENERATE_COPY(table<std::string, std::string>({{"", "no tar"},
                                                       {"short", "no tar"},
                                                       {std::string(2000, 'x'), "no tar"},
                                                       {whole.substr(0, 3000), "cut short"},
                                                       {"\x1f\x8b\x08" + std::string(600, 'x'), "compressed"}}));
    CHECK_THAT(corrupt([&t, &content = bytes] { TarFiles files(t.raw(content)); }).message(), Catch::Contains(part));
}

TEST_CASE("a file beyond the limit is not read") {
    const Folder t;
    t.write("big", std::string(5000, 'x'));
    const TarFiles files(t.pack());
    CHECK(corrupt([&] { files.read("big", 4999); }).code() == "corrupt.too-large");
}

TEST_CASE("an OCI archive is a layout that can be read") {
    const Folder t;
    const SampleImage image;
    OciLayout layout = OciLayout::open_archive(t.raw(archive_of(image, OciArchiveWriter::Docker::no)));
    for (const std::string& selector : {std::string("1"), kName[0], image.descriptor.digest.text(), std::string()}) {
        CHECK(layout.resolve(selector, kAmd64, {}).manifest_bytes == image.manifest_bytes);
    }
    util::StringSink out;
    layout.fetch(image.layer_descriptor(), out, {});
    CHECK(out.text() == image.layer);
    CHECK(corrupt([&] { layout.fetch(oci::describe("a/b", "none"), out, {}); }).code() == "corrupt.archive");
}

TEST_CASE("an archive for docker is read by its names, and has the same image") {
    const Folder t;
    const SampleImage image;
    t.raw(archive_of(image, OciArchiveWriter::Docker::yes));
    DockerArchive archive(t.tar);
    for (const std::string name : {"", "app:1", "docker.io/library/app:1", "library/app:1"}) {
        INFO(name);
        CHECK(archive.resolve(name, kAmd64, {}).manifest.layers == image.manifest.layers);
    }
    CHECK(archive.images().front().names == std::vector<std::string>{"app:1"});
    CHECK_THROWS_AS(archive.resolve("app:2", kAmd64, {}), RegistryError);
    util::StringSink out;
    archive.fetch(image.layer_descriptor(), out, {});
    CHECK(out.text() == image.layer);
    CHECK(OciLayout::open_archive(t.tar).resolve("1", kAmd64, {}).manifest == image.manifest);
}

// As docker wrote them before it took OCI layouts up.
struct OldArchive : Folder {
    SampleImage image{"content of the layer"};
    void fill(const std::string& layer) const {
        write("config.json", image.config_bytes);
        write("abc/layer.tar", layer);
        write("manifest.json", R"([{"Config":"config.json","RepoTags":["app:1"],"Layers":["abc/layer.tar"]}])");
    }
};

TEST_CASE("an old archive with plain layers gets a manifest") {
    const OldArchive t;
    t.fill(t.image.layer);
    DockerArchive archive(t.pack());
    const oci::ResolvedImage image = archive.resolve("", kAmd64, {});
    CHECK(image.config_bytes == t.image.config_bytes);
    CHECK(image.manifest.layers == t.image.manifest.layers);
    util::StringSink out;
    archive.fetch(image.manifest.layers.front(), out, {});
    CHECK(out.text() == t.image.layer);
}

TEST_CASE("a layer that is not the config's is refused when it is read") {
    const OldArchive t;
    t.fill("something else altogether, but quite as long");
    DockerArchive archive(t.pack());
    const oci::ResolvedImage image = archive.resolve("", kAmd64, {});
    util::NullSink out;
    CHECK_THROWS_AS(archive.fetch(image.manifest.layers.front(), out, {}), CorruptData);
}

TEST_CASE("malformed archives of docker are refused") {
    const OldArchive t;
    t.fill(t.image.layer);
    const std::string manifest = GENERATE("{}", "[1]", "[{}]", R"([{"Config":"none","Layers":["abc/layer.tar"]}])",
                                          R"([{"Config":"config.json","Layers":[]}])", "[", R"([{"Config":1}])",
                                          R"([{"Config":"config.json","Layers":["none"]}])");
    INFO(manifest);
    t.write("manifest.json", manifest);
    t.pack();
    CHECK_THROWS_AS(DockerArchive(t.tar).resolve("", kAmd64, {}), CorruptData);
}

}  // namespace
}  // namespace imgbuild::registry
