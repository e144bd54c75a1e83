// "# check=skip=A,B;experimental=all;error=true": which checks are reported.
//
// At the top of a file it counts for all of it, and BUILDKIT_DOCKERFILE_CHECK as a build argument takes its place. In
// the comment above an instruction it adds to that for this instruction alone.
#pragma once

#include "builder/lint/rules.hpp"

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::builder {

struct CheckOptions {
    bool skip_all = false;
    bool experimental_all = false;
    /// A finding fails the build.
    bool error = false;
    std::set<std::string, std::less<>> skip;
    std::set<std::string, std::less<>> experimental;

    /// Reads "skip=A,B;error=true", up to the first blank. Throws Error "parse.bad-check".
    static CheckOptions parse(std::string_view text);
    /// With what the comment above an instruction adds: skip and experimental of all its check= lines. Lines that
    /// cannot be read add nothing.
    CheckOptions with_comment(const std::vector<std::string>& comment) const;

    bool wants(const Rule& rule) const;
    /// Names that no check has, in order.
    std::vector<std::string> unknown_names() const;
};

/// The values of the check= lines in the comment above an instruction.
std::vector<std::string> check_values(const std::vector<std::string>& comment);

}  // namespace imgbuild::builder
