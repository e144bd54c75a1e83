// Values of options that are lists: "type=oci,dest=out.tar", as docker buildx has them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::cli {

/// Splits a CSV line; fields may be in double quotes. Throws UsageError ("usage.bad-output").
std::vector<std::string> split_csv(std::string_view text);

}  // namespace imgbuild::cli
