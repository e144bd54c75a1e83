#include "builder/image.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"
#include "tests/unit/builder/store_fixture.hpp"

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

struct ImageFixture : test::StoreFixture {
    Image finish(oci::ImageConfig config, const FileSystem& fs) {
        return finish_image({.config = std::move(config), .fs = fs, .time = 77}, forms, 2, work);
    }
};

oci::HistoryEntry entry(std::string text, std::optional<oci::Timestamp> created) {
    oci::HistoryEntry out;
    out.created_by = std::move(text);
    out.created = created;
    return out;
}

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
