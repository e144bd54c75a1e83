// The product's face when something goes wrong: what failed, on what, why, the lines of the build file, and a way out.
// The only place where errors are printed.
#pragma once

#include <imgbuild/error.hpp>

#include <string>

namespace imgbuild::cli {

/// As text, lines ended by a newline.
std::string render_error(const Error& error);
std::string render_diagnostic(const Diagnostic& diagnostic, const SourceFile* file);

/// The lines around `span` with numbers, a ">>>" on those that it covers, and carets under its columns if it is on one
/// line. Empty without a span.
std::string render_excerpt(const SourceFile& file, const Span& span);

/// The first line that `span` covers, with its number and carets: for lists of many findings. Empty without a span.
std::string render_line(const SourceFile& file, const Span& span);

}  // namespace imgbuild::cli
