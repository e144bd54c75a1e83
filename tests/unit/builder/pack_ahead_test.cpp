#include "builder/pack_ahead.hpp"

#include <fcntl.h>

#include <chrono>

#include "tests/support/catch.hpp"
#include "tests/unit/builder/one_file_layer.hpp"
#include "tests/unit/builder/sample_nodes.hpp"
#include "tests/unit/builder/store_fixture.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;
using namespace imgbuild::builder::test;

namespace {

// A store, and somebody to pack what is in it.
struct Packed : StoreFixture {
    LayerPtr layer(const std::string& content) { return one_file_layer(lease, content); }

    std::optional<DiffId> wait_for_diff_id(const Layer& layer) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (std::chrono::steady_clock::now() < deadline) {
            if (const auto diff_id = lease.facts(*layer.id).diff_id) return diff_id;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return std::nullopt;
    }
};

}  // namespace

TEST_CASE("layers of the result are worth packing below what takes its time") {
    Graph graph;
    const NodeId context = graph.add(local());
    const NodeId base = graph.add(image());
    const NodeId other_stage = graph.add(exec(base));
    const NodeId first = graph.add(exec(base));
    const NodeId second = graph.add(copy(first, other_stage));
    const NodeId third = graph.add(copy(second, context));
    const NodeId target = graph.add(copy(third, context));
    const std::vector<bool> worth = worth_packing_ahead(graph, target);
    CHECK(worth[first]);         // a copy from another stage stands on it
    CHECK_FALSE(worth[second]);  // only files of the context are copied then
    CHECK_FALSE(worth[third]);
    CHECK_FALSE(worth[target]);
    CHECK_FALSE(worth[other_stage]);  // no part of the image
}

TEST_CASE_METHOD(Packed, "what was packed ahead is there for who asks later") {
    const layers::Codec codec{.kind = layers::Codec::Kind::zstd};
    const LayerPtr one = layer("one");
    PackAhead ahead(forms, codec, work);
    ahead.add(one);
    const auto diff_id = wait_for_diff_id(*one);
    ahead.finish();
    REQUIRE(diff_id);
    CHECK(lease.find_form(*diff_id, codec.codec_id()).value().blob == forms.ensure_blob(*one, codec, work).blob);
}

TEST_CASE_METHOD(Packed, "without a codec only the diff id is made") {
    const LayerPtr one = layer("one");
    PackAhead ahead(forms, std::nullopt, work);
    ahead.add(one);
    const auto diff_id = wait_for_diff_id(*one);
    ahead.finish();
    REQUIRE(diff_id);
    CHECK_FALSE(lease.find_form(*diff_id, ""));
}

TEST_CASE_METHOD(Packed, "a layer that cannot be packed is an error for who asks for it, and for nobody else") {
    const LayerPtr lost = std::make_shared<Layer>(util::Sha256::of("lost"));
    const LayerPtr good = layer("good");
    PackAhead ahead(forms, std::nullopt, work);
    ahead.add(lost);
    ahead.add(good);
    CHECK(wait_for_diff_id(*good));
    ahead.finish();
    CHECK(test::error_code([&] { forms.ensure_diff_id(*lost, work); }) != "");
}

TEST_CASE_METHOD(Packed, "nothing is packed for a build that was stopped") {
    std::stop_source stop;
    const Work stopped{.stop = stop.get_token(), .progress = recorder};
    PackAhead ahead(forms, std::nullopt, stopped);
    stop.request_stop();
    std::vector<LayerPtr> layers;
    for (int i = 0; i < 20; ++i) ahead.add(layers.emplace_back(layer(std::to_string(i))));
    ahead.finish();
    CHECK_FALSE(ahead.is_busy());
    for (const LayerPtr& one : layers) CHECK_FALSE(lease.facts(*one->id).diff_id);
}
