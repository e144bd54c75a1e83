#include "layers/unwritten.hpp"

#include "tests/support/catch.hpp"

using namespace imgbuild::layers;

TEST_CASE("what waits to be written is what is dirty and what is on its way") {
    CHECK(unwritten_bytes("MemFree: 7 kB\nDirty:               100 kB\nWriteback:             4 kB\n") == 104 * 1024);
    CHECK(unwritten_bytes("MemFree: 7 kB\nDirty:                 0 kB\nWriteback:             0 kB\n") == 0);
}

TEST_CASE("a file that does not say it says nothing") {
    CHECK_FALSE(unwritten_bytes(""));
    CHECK_FALSE(unwritten_bytes("x\nDirty: 100 kB\n"));
    CHECK_FALSE(unwritten_bytes("x\nDirty: many kB\nWriteback: 4 kB\n"));
    CHECK_FALSE(unwritten_bytes("x\nDirty: 100 MB\nWriteback: 4 kB\n"));
}
