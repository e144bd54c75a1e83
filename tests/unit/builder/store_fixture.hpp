// A store of its own for a test, and what works on its layers.
#pragma once

#include "builder/layer_forms.hpp"
#include "layers/store.hpp"
#include "tests/unit/builder/builder_support.hpp"

#include <memory>

namespace imgbuild::builder::test {

struct StoreFixture {
    Directory directory;
    std::shared_ptr<layers::Store> store = layers::Store::open(directory.at("store"));
    layers::Lease lease = store->begin_lease();
    LayerForms forms{lease, 2};
    Recorder recorder;
    Work work{.stop = {}, .progress = recorder};
};

}  // namespace imgbuild::builder::test
