#include "builder/layer_forms.hpp"

#include "layers/pack.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

#include <chrono>
#include <functional>
#include <thread>

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

// The tar of a layer of one file.
std::string some_tar() {
    util::StringSink out;
    layers::Packer packer({.kind = layers::Codec::Kind::none}, &out, 1);
    layers::TarWriter writer(packer.stream());
    util::MemorySource content("abc");
    writer.add_file({.path = "file", .type = layers::EntryType::file, .mode = 0644, .size = 3}, content);
    writer.finish();
    static_cast<void>(packer.finish());
    return out.take();
}

/// Does what a test says in place of a registry.
class Scripted final : public oci::BlobSource {
public:
    explicit Scripted(std::function<void(util::Sink&)> fetch) : fetch_(std::move(fetch)) {}
    void fetch(const oci::Descriptor&, util::Sink& into, std::stop_token) override { fetch_(into); }

private:
    std::function<void(util::Sink&)> fetch_;
};

struct Arrival {
    test::Directory directory;
    test::Recorder recorder;
    std::shared_ptr<layers::Store> store = layers::Store::open(directory.at("store"));
    layers::Lease lease = store->begin_lease();
    LayerForms forms{lease, 2};
    std::string tar = some_tar();
    Digest blob = util::Sha256::of(tar);

    void describe(Layer& out, const DiffId& diff_id, std::function<void(util::Sink&)> fetch) const {
        out.diff_id = diff_id;
        out.remote = RemoteLayer{
            .blob = {.media_type = "application/vnd.oci.image.layer.v1.tar", .digest = blob, .size = tar.size()},
            .source = std::make_shared<Scripted>(std::move(fetch)),
            .image = "base:1"};
    }
    std::function<void(util::Sink&)> whole() const {
        return [this](util::Sink& into) { into.write(util::as_bytes(tar)); };
    }
};

}  // namespace

TEST_CASE("a layer arrives whoever holds claims of its digests") {
    Arrival arrival;
    // As a step does whose key is by chance, or by somebody's will, the digest of a blob.
    const auto held = arrival.lease.claim(arrival.blob, {});
    std::stop_source too_long;
    const std::jthread watch([&](const std::stop_token& done) {
        for (int i = 0; i < 100 && !done.stop_requested(); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        too_long.request_stop();
    });
    Layer layer(arrival.blob);
    arrival.describe(layer, DiffId(arrival.blob), arrival.whole());
    const auto id = arrival.forms.ensure_tree(layer, {.stop = too_long.get_token(), .progress = arrival.recorder});
    CHECK(arrival.lease.find_layer(DiffId(arrival.blob)) == id);
    CHECK(arrival.lease.find_blob(arrival.blob));
}

TEST_CASE("what is wrong with the transfer is told before what is wrong with its bytes") {
    Arrival arrival;
    Layer layer(arrival.blob);
    arrival.describe(layer, DiffId(arrival.blob), [](util::Sink& into) {
        into.write(util::as_bytes(std::string(1024, 'x')));
        throw CorruptData("the blob", "what its digest says", "something else");
    });
    const Work work{.stop = {}, .progress = arrival.recorder};
    CHECK_THROWS_WITH(arrival.forms.ensure_tree(layer, work), Catch::Contains("what its digest says"));
    CHECK_FALSE(arrival.lease.find_blob(arrival.blob));
}

TEST_CASE("a blob that holds another tar than its image says leaves nothing") {
    Arrival arrival;
    const DiffId other(util::Sha256::of("other"));
    Layer layer(other.digest());
    arrival.describe(layer, other, arrival.whole());
    CHECK_THROWS_AS(arrival.forms.ensure_tree(layer, {.stop = {}, .progress = arrival.recorder}), CorruptData);
    CHECK_FALSE(arrival.lease.find_layer(other));
    CHECK_FALSE(arrival.lease.find_form(other, ""));
}
