// The tables in testdata/oci, as JSON.
#pragma once

#include "tests/support/catch.hpp"
#include "util/fd.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>

namespace imgbuild::oci {

inline constexpr std::size_t kMaxTableBytes = 1U << 20;

/// The cases of testdata/oci/<name>.json.
inline nlohmann::json load_cases(const std::string& name) {
    return nlohmann::json::parse(util::read_file("testdata/oci/" + name + ".json", kMaxTableBytes)).at("cases");
}

}  // namespace imgbuild::oci
