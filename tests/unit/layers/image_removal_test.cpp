#include "layers/image_removal.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/layers/store_fixture.hpp"

namespace imgbuild::layers {
namespace {

ImageRecord image_of(const std::string& config) {
    ImageRecord out;
    out.id = util::Sha256::of(config);
    out.config = config;
    return out;
}

}  // namespace

TEST_CASE_METHOD(StoreFixture, "an image goes with its last name") {
    Lease lease = store->begin_lease();
    lease.put_image(image_of("1"), {"n:1", "n:2"});
    lease.put_image(image_of("2"), {"other:1"});
    CHECK(remove_name(*store, "n:1"));
    CHECK_FALSE(remove_name(*store, "n:1"));
    CHECK(store->find_image("n:2")->names == std::vector<std::string>{"n:2"});
    CHECK(remove_name(*store, "n:2"));
    REQUIRE(store->list_images().size() == 1);
    CHECK(store->list_images()[0].config == "2");
}

TEST_CASE_METHOD(StoreFixture, "an image that goes by its id takes its names along") {
    Lease lease = store->begin_lease();
    const ImageRecord image = image_of("1");
    lease.put_image(image, {"n:1", "n:2"});
    CHECK(remove_image(*store, image.id));
    CHECK_FALSE(remove_image(*store, image.id));
    CHECK_FALSE(store->find_image("n:1"));
    lease.put_image(image, {});
    CHECK(store->list_images()[0].names.empty());
}

}  // namespace imgbuild::layers
