#include "cli/image_names.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "util/bytes.hpp"
#include "util/files.hpp"

namespace imgbuild::cli {
namespace {

struct StoreWithImage {
    util::TempDir directory{"/tmp", "imgbuild-test-"};
    std::shared_ptr<layers::Store> store = layers::Store::open(directory.path());
    layers::ImageRecord image;

    StoreWithImage() {
        image.config = "{}";
        image.id = util::Sha256::of(image.config);
        layers::Lease lease = store->begin_lease();
        lease.put_image(image, {"docker.io/library/app:1"});
    }
};

TEST_CASE("an image is found by its name in any form, and by its id") {
    StoreWithImage made;
    const std::string id = made.image.id.hex();
    for (const std::string& text : {std::string("app:1"), std::string("docker.io/library/app:1"), id, "sha256:" + id,
                                    id.substr(0, 12), "sha256:" + id.substr(0, 12), id.substr(0, 4)}) {
        INFO(text);
        CHECK(require_image(*made.store, text).id == made.image.id);
    }
}

TEST_CASE("an image that is not there is named, with a way to see what is") {
    StoreWithImage made;
    const std::string text = GENERATE("other", "app:2", "sha256:0123456789ab", "0123456789ab", "sha256:nonsense",
                                      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    try {
        static_cast<void>(require_image(*made.store, text));
        FAIL("found: " << text);
    } catch (const UsageError& error) {
        CHECK(error.code() == "usage.no-such-image");
        CHECK(error.message().find(text) != std::string::npos);
        CHECK(error.hint() == "`imgbuild images` lists them");
    }
}

TEST_CASE("what can be no name of an image is told as that") {
    StoreWithImage made;
    try {
        static_cast<void>(require_image(*made.store, "Not A Name"));
        FAIL("found");
    } catch (const UsageError& error) {
        CHECK(error.code() == "usage.bad-reference");
    }
}

}  // namespace
}  // namespace imgbuild::cli
