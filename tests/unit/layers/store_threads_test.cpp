#include "layers/store.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/layers/store_fixture.hpp"

#include <atomic>
#include <thread>

using namespace imgbuild;
using namespace imgbuild::layers;

TEST_CASE_METHOD(StoreFixture, "eight threads may use one lease") {
    Lease lease = store->begin_lease();
    std::atomic<int> failures = 0;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 8; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < 10; ++i) {
                    const std::string name = std::to_string(i);
                    const LayerId id = publish_layer(lease, name);
                    const BlobInfo blob = put_blob(lease, name);
                    const bool good = lease.find_layer(make_record(name).key) == id &&
                                      lease.read_names(id) == "names of " + name && read_blob(lease, blob) == name;
                    if (!good) ++failures;
                }
            });
        }
    }
    CHECK(failures == 0);
    CHECK(count_layers() == 10);
}

TEST_CASE_METHOD(StoreFixture, "a claim keeps the threads of a process apart") {
    Lease lease = store->begin_lease();
    std::atomic<int> inside = 0;
    std::atomic<int> collisions = 0;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 8; ++t) {
            threads.emplace_back([&] {
                const auto held = lease.claim(util::Sha256::of("k"), {});
                if (++inside != 1) ++collisions;
                std::this_thread::yield();
                --inside;
            });
        }
        // Sweeps, which remove free claims, must not let two in.
        for (int i = 0; i < 20; ++i) Store::open(root);
    }
    CHECK(collisions == 0);
}
