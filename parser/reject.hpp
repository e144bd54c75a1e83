// How the sources of this room say that a piece of the user's file is wrong.
#pragma once

#include <imgbuild/error.hpp>

#include <string>
#include <string_view>

namespace imgbuild::parser {

/// Throws Error. The span, if not empty, becomes a place without a file, which reading code completes.
[[noreturn]] void reject(std::string code, std::string message, std::string hint = {}, Span span = {});

/// What an Error says, as an entry of a list; `fallback` is its place if it has none of its own.
Diagnostic to_diagnostic(const Error& error, Span fallback);

/// A user's text as a part of a sentence that has other quotes around it, or none: escaped and cut as util::quote()
/// does it.
std::string shown(std::string_view text);

}  // namespace imgbuild::parser
