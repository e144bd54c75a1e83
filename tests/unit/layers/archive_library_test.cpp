#include "layers/archive_library.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

using namespace imgbuild;

TEST_CASE("a missing libarchive is told by its name, with what to install") {
    try {
        static_cast<void>(layers::load_archive_library("libarchive.so.none"));
        FAIL("loaded");
    } catch (const Error& error) {
        CHECK(error.code() == "source.no-archive-library");
        CHECK(error.message().find("libarchive.so.none") != std::string::npos);
        CHECK(error.hint().find("libarchive13") != std::string::npos);
    }
}

TEST_CASE("a library that is not libarchive is refused") {
    CHECK_THROWS_AS(layers::load_archive_library("libm.so.6"), Error);
}
