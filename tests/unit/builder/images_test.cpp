// How often a registry is asked what a name means, and what is believed without asking.

#include "builder/images.hpp"

#include "registry/memory_registry.hpp"
#include "registry/repository.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"
#include "tests/unit/registry/sample_image.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;
using Catch::Matchers::Contains;

namespace {

using Strings = std::vector<std::string>;

const std::string kName = "127.0.0.1:5000/team/app:1";
const Platform kAmd64 = Platform::parse("linux/amd64");

struct Registry {
    test::Directory place;
    std::shared_ptr<layers::Store> store = layers::Store::open(place.at("store"));
    layers::ResolvedNames memory{place.at("store")};
    registry::MemoryRegistry server{"http://127.0.0.1:5000"};
    registry::RegistryClient client{server, {}};
    std::size_t seen = 0;
    registry::SampleImage first = push("the first");

    registry::SampleImage push(const std::string& layer) {
        registry::SampleImage image(layer);
        registry::Repository repository(client, Reference::parse(kName));
        image.push_to(repository, Strings{"1"});
        seen = server.log().size();
        return image;
    }
    /// Requests since the last call.
    Strings requests() {
        const Strings all = server.log();
        Strings out(all.begin() + static_cast<std::ptrdiff_t>(seen), all.end());
        seen = all.size();
        return out;
    }
    /// As another build would have it. The images' only diff id.
    DiffId resolve(ImagesOptions options = {}, const std::string& name = kName) {
        Images images(*store, client, options, {});
        return images.resolve(name, kAmd64).config.diff_ids.at(0);
    }
    std::string origin(ImagesOptions options = {}) {
        Images images(*store, client, options, {});
        return images.origin(images.resolve(kName, kAmd64).locator);
    }
    /// As if the registry had been asked so long ago.
    void grow_older(std::int64_t seconds) const {
        layers::ResolvedName known = memory.find(kName, "linux/amd64").value();
        known.time -= seconds;
        memory.remember(kName, "linux/amd64", known);
    }
};

DiffId layer(const std::string& content) {
    return DiffId(util::Sha256::of(content));
}

}  // namespace

TEST_CASE_METHOD(Registry, "a tag that was resolved within its time needs no request") {
    CHECK(resolve() == layer("the first"));
    CHECK(requests().size() == 2);
    push("the second");
    grow_older(599);
    CHECK(resolve() == layer("the first"));
    CHECK(requests().empty());
}

TEST_CASE_METHOD(Registry, "after its time a tag costs one HEAD if it is what it was") {
    resolve();
    requests();
    grow_older(600);
    CHECK(resolve() == layer("the first"));
    CHECK(requests() == Strings{"HEAD /v2/team/app/manifests/1"});
    CHECK(resolve() == layer("the first"));
    CHECK(requests().empty());
}

TEST_CASE_METHOD(Registry, "after its time a tag that was moved is what it is now") {
    resolve();
    push("the second");
    grow_older(600);
    CHECK(resolve() == layer("the second"));
    CHECK(resolve({.pull = Pull::never}) == layer("the second"));
}

TEST_CASE_METHOD(Registry, "a longer time is believed longer, and no time not at all") {
    resolve();
    grow_older(3600);
    requests();
    resolve({.tag_ttl = std::chrono::hours(2)});
    CHECK(requests().empty());
    resolve({.tag_ttl = std::chrono::seconds(0)});
    CHECK(requests().size() == 1);
}

TEST_CASE_METHOD(Registry, "an answer from the future is not believed") {
    resolve();
    grow_older(-100);
    requests();
    resolve();
    CHECK(requests().size() == 1);
}

TEST_CASE_METHOD(Registry, "a digest means the same for ever") {
    const std::string name = "127.0.0.1:5000/team/app@" + push("the second").descriptor.digest.text();
    CHECK(resolve({}, name) == layer("the second"));
    requests();
    CHECK(resolve({.tag_ttl = std::chrono::seconds(0)}, name) == layer("the second"));
    CHECK(requests().empty());
}

TEST_CASE_METHOD(Registry, "pull=always asks, whatever is known") {
    resolve();
    push("the second");
    CHECK(resolve({.pull = Pull::always}) == layer("the second"));
    CHECK(requests().front() == "HEAD /v2/team/app/manifests/1");
}

TEST_CASE_METHOD(Registry, "pull=never asks nobody and takes tags of any age") {
    resolve();
    grow_older(1'000'000'000);
    requests();
    CHECK(resolve({.pull = Pull::never}) == layer("the first"));
    CHECK(requests().empty());
}

TEST_CASE_METHOD(Registry, "pull=never says what to do about an image that is not here") {
    try {
        resolve({.pull = Pull::never});
        FAIL("it was resolved");
    } catch (const Error& error) {
        CHECK(error.code() == "source.not-pulled");
        CHECK_THAT(error.message(),
                   Contains("'127.0.0.1:5000/team/app:1' for linux/amd64") && Contains("--pull=never"));
        CHECK_THAT(error.hint(), Contains("--pull=missing") && Contains("imgbuild copy docker://" + kName));
    }
    CHECK(requests().empty());
}

TEST_CASE_METHOD(Registry, "pull=never lets no layer be fetched either") {
    resolve();
    Images images(*store, client, {.pull = Pull::never}, {});
    const FileSystem fs = images.file_system(images.resolve(kName, kAmd64).locator);
    util::StringSink nothing;
    CHECK(test::error_code([&] {
              fs.layers.at(0)->remote->source->fetch(fs.layers.at(0)->remote->blob, nothing, {});
          }) == "source.not-pulled");
}

TEST_CASE_METHOD(Registry, "an image that the store has under the name is the one that is meant") {
    const registry::SampleImage built("built here");
    layers::Lease lease = store->begin_lease();
    lease.put_image({.id = util::Sha256::of(built.config_bytes),
                     .config = built.config_bytes,
                     .diff_ids = {layer("built here")},
                     .names = {}},
                    {kName});
    requests();
    CHECK(resolve() == layer("built here"));
    CHECK(resolve({.pull = Pull::never}) == layer("built here"));
    CHECK(requests().empty());
    CHECK(resolve({.pull = Pull::always}) == layer("the first"));
}

TEST_CASE_METHOD(Registry, "a registry that answers no HEAD is asked as if nothing were known") {
    resolve();
    push("the second");
    server.misbehave({.refusals = 1, .refusal_status = 405});
    CHECK(resolve({.pull = Pull::always}) == layer("the second"));
}

TEST_CASE_METHOD(Registry, "what is told of an image is its digest, and since when that is known") {
    const std::string digest = first.descriptor.digest.text();
    CHECK(origin() == digest);
    grow_older(125);
    CHECK(origin() == digest + ", as its registry said 2 minutes ago");
    CHECK(origin({.pull = Pull::always}) == digest);
}
