// A build file looked at for `lint`, `outline`, `targets` and `build --call`: read, parsed and surveyed, nothing built.
#pragma once

#include "builder/build.hpp"
#include "builder/lint/survey.hpp"
#include "cli/app_context.hpp"
#include "parser/file.hpp"

#include <memory>
#include <string>
#include <vector>

namespace imgbuild::cli {

/// Where base images are looked for, to know their variables: in the store alone, or at their registries as well.
enum class AskFor { local_images, all_images };

struct CheckedFile {
    std::shared_ptr<const SourceFile> source;
    parser::BuildFile file;
    builder::Survey survey;

    /// The file's own errors, and what ended the survey, in the order of the file.
    std::vector<Diagnostic> errors() const;
};

/// Throws what reading the context's ignore file throws, and "usage.unknown-target". An image that cannot be had is
/// listed in the survey's unknown_images.
CheckedFile check_build_file(const builder::BuildRequest& request, AskFor ask, AppContext& context);

}  // namespace imgbuild::cli
