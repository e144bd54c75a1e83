#include <imgbuild/error.hpp>

#include "oci/image_config.hpp"
#include "oci/manifest.hpp"
#include "oci/media_types.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/oci/tables.hpp"

#include <fmt/format.h>

namespace imgbuild::oci {
namespace {

using nlohmann::json;

const std::string kDigest = "sha256:" + std::string(64, '1');

// Reads a document as what its row says it is.
void read(const std::string& media_type, const std::string& document) {
    if (media_type == media_type::kConfig) {
        parse_image_config(document);
    } else if (media_type == media_type::kManifest) {
        parse_manifest(document);
    } else if (media_type == media_type::kIndex) {
        parse_index(document);
    } else {
        parse_descriptor(document, "descriptor");
    }
}

std::string error_code(const std::string& media_type, const std::string& document) {
    try {
        read(media_type, document);
        return {};
    } catch (const CorruptData& error) {
        return error.code();
    }
}

std::string descriptor_json(std::string_view media_type) {
    return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":3}})", media_type, kDigest);
}

std::string manifest_json(const std::string& more = {}) {
    return fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[{}]{}}})", descriptor_json(media_type::kConfig),
                       descriptor_json(media_type::kLayerGzip), more);
}

TEST_CASE("documents that the specification's schemas refuse are refused, the others are read") {
    for (const json& row : load_cases("schema_cases")) {
        const std::string media_type = row.at("media_type");
        if (media_type == "application/vnd.oci.layout.header.v1+json") continue;  // read in registry/oci_layout.cpp
        INFO(row.at("name").get<std::string>());
        const std::string code = error_code(media_type, row.at("document"));
        if (row.at("valid").get<bool>()) {
            // Well-formed digests of algorithms that we do not have are the one thing we refuse beyond the schemas.
            CHECK((code.empty() || code == "registry.unsupported-digest"));
        } else {
            CHECK_FALSE(code.empty());
        }
    }
}

TEST_CASE("a manifest is printed canonically and read back as the same value") {
    Manifest manifest;
    manifest.media_type = media_type::kManifest;
    manifest.config = describe(media_type::kConfig, "{}");
    manifest.layers = {describe(media_type::kLayerGzip, "layer")};
    manifest.annotations = {{"b", "2"}, {"a", "\"1\""}};
    const std::string text = manifest.to_json();
    CHECK(text.starts_with(R"({"annotations":{"a":"\"1\"","b":"2"},"config":{"digest":"sha256:)"));
    CHECK(parse_manifest(text) == manifest);
    CHECK(parse_manifest(text, media_type::kManifest).to_json() == text);
}

TEST_CASE("an index is printed canonically and read back as the same value") {
    Index index;
    index.media_type = media_type::kIndex;
    index.manifests = {describe(media_type::kManifest, "a")};
    index.manifests[0].platform = Platform{.os = "linux", .architecture = "arm", .variant = "v6"};
    index.subject = describe(media_type::kManifest, "s");
    CHECK(parse_index(index.to_json()) == index);
}

TEST_CASE("a manifest without media type takes the one it was announced with") {
    CHECK(parse_manifest(manifest_json()).media_type == media_type::kManifest);
    CHECK(parse_manifest(manifest_json(), media_type::kDockerManifest).media_type == media_type::kDockerManifest);
}

TEST_CASE("hostile manifests are refused") {
    const std::string layer = descriptor_json(media_type::kLayerGzip);
    const auto [name, text, announced, code] = GENERATE_COPY(table<std::string, std::string, std::string, std::string>({
        {"announced as something else", manifest_json(R"(,"mediaType":"application/vnd.oci.image.manifest.v1+json")"),
         std::string(media_type::kDockerManifest), "corrupt.manifest"},
        {"an index", R"({"schemaVersion":2,"manifests":[]})", "", "corrupt.manifest"},
        {"both kinds at once", manifest_json(R"(,"manifests":[])"), "", "corrupt.manifest"},
        {"schema 1", R"({"schemaVersion":1,"name":"a","fsLayers":[]})", "", "corrupt.schema1"},
        {"schema 1 by type", manifest_json(), std::string(media_type::kDockerSchema1Signed), "corrupt.schema1"},
        {"too large", std::string(kMaxManifestBytes + 1, ' '), "", "corrupt.too-large"},
        {"too deep", std::string(100000, '['), "", "corrupt.manifest"},
        {"not JSON", "<html>", "", "corrupt.manifest"},
        {"not an object", "[]", "", "corrupt.manifest"},
        {"a size beyond 63 bits",
         manifest_json(R"(,"subject":{"mediaType":"a/b","digest":")" + kDigest + R"(","size":9223372036854775808})"),
         "", "corrupt.manifest"},
        {"a negative size", manifest_json(R"(,"subject":{"mediaType":"a/b","digest":")" + kDigest + R"(","size":-1})"),
         "", "corrupt.manifest"},
        {"a size that is a fraction",
         manifest_json(R"(,"subject":{"mediaType":"a/b","digest":")" + kDigest + R"(","size":1.5})"), "",
         "corrupt.manifest"},
        {"a number beyond everything", manifest_json(R"(,"x":1e999999)"), "", "corrupt.manifest"},
        {"an unknown digest algorithm", manifest_json(R"(,"subject":{"mediaType":"a/b","digest":"md5:00","size":1})"),
         "", "registry.unsupported-digest"},
    }));
    INFO(name);
    try {
        parse_manifest(text, announced);
        FAIL("accepted");
    } catch (const CorruptData& error) {
        CHECK(error.code() == code);
    }
}

TEST_CASE("more layers than the limit are refused") {
    std::string text = manifest_json();
    const std::string layer = descriptor_json(media_type::kLayerGzip);
    std::string many = layer;
    for (std::size_t i = 0; i < kMaxLayers; ++i) many += "," + layer;
    text =
        fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[{}]}})", descriptor_json(media_type::kConfig), many);
    CHECK_THROWS_AS(parse_manifest(text), CorruptData);
}

TEST_CASE("errors name the member that is wrong") {
    try {
        parse_manifest(manifest_json(R"(,"annotations":{"a":1})"));
        FAIL("accepted");
    } catch (const CorruptData& error) {
        CHECK(error.message() == "the manifest: 'a' in 'annotations' must be a string");
    }
}

Descriptor entry(const std::string& content, const std::string& platform) {
    Descriptor out = describe(media_type::kManifest, content);
    if (!platform.empty()) out.platform = Platform::parse(platform);
    return out;
}

TEST_CASE("the best entry of an index is chosen for a platform") {
    Index index;
    index.manifests = {entry("attestation", "unknown/unknown"), entry("v5", "linux/arm/v5"),
                       entry("v6", "linux/arm/v6"), entry("amd64", "linux/amd64"), entry("amd64 again", "linux/amd64")};
    const auto chosen = [&](const char* platform) { return select_platform(index, Platform::parse(platform)); };
    CHECK(chosen("linux/arm/v7")->digest == index.manifests[2].digest);
    CHECK(chosen("linux/arm/v5")->digest == index.manifests[1].digest);
    CHECK(chosen("linux/amd64")->digest == index.manifests[3].digest);
    CHECK_FALSE(chosen("linux/s390x"));
    CHECK(available_platforms(index) == "linux/arm/v5, linux/arm/v6, linux/amd64, linux/amd64");
}

TEST_CASE("a lone entry without platform is chosen for any") {
    Index index;
    index.manifests = {entry("only", "")};
    CHECK(select_platform(index, Platform::parse("linux/s390x"))->digest == index.manifests[0].digest);
    index.manifests.push_back(entry("other", ""));
    CHECK_FALSE(select_platform(index, Platform::parse("linux/s390x")));
}

}  // namespace
}  // namespace imgbuild::oci
