// The product's face when something goes wrong: what failed, on what, why, the lines of the build file, and a way out.
// The only place where errors are printed.
#pragma once

#include <imgbuild/error.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::cli {

/// --error-format: for people, or one line of JSON (docs/schemas/error.json).
enum class ErrorFormat { text, json };

/// As text, lines ended by a newline.
std::string render_error(const Error& error);
/// One line of JSON, ended by a newline.
std::string render_error_json(const Error& error, int exit_code);
std::string render_diagnostic(const Diagnostic& diagnostic, const SourceFile* file);

/// The lines around `span` with numbers, a ">>>" on those that it covers, and carets under its columns if it is on one
/// line. Empty without a span.
std::string render_excerpt(const SourceFile& file, const Span& span);

/// The first line that `span` covers, with its number and carets: for lists of many findings, so the caller splits the
/// file once. Empty without a span.
std::string render_line(const std::vector<std::string_view>& lines, const Span& span);

}  // namespace imgbuild::cli
