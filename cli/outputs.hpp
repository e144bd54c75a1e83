// -o/--output: where an image goes. Values are CSV, as docker buildx has them: "type=oci,dest=out.tar".
#pragma once

#include "builder/build.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::cli {

/// Nothing for "type=image" alone, which is the store. Throws UsageError with the types that there are.
std::optional<builder::Output> parse_output(std::string_view text);

/// Splits a CSV line; fields may be in double quotes. Throws UsageError.
std::vector<std::string> split_csv(std::string_view text);

}  // namespace imgbuild::cli
