// -o/--output: where an image or its files go. Values are CSV, as docker buildx has them: "type=oci,dest=out.tar".
#pragma once

#include <imgbuild/platform.hpp>

#include "builder/build.hpp"
#include "cli/csv.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::cli {

/// One value of --output. "DIR" alone is type=local, "-" is a tar on standard output. `platform` is the image's, for
/// annotations that name one.
/// Throws UsageError ("usage.bad-output") with the types and options that there are.
builder::Output parse_output(std::string_view text, const Platform& platform = Platform::host());

/// What no build can do: two outputs to one place. Throws UsageError ("usage.bad-output").
void check_outputs(const std::vector<builder::Output>& outputs);

}  // namespace imgbuild::cli
