// Questions about single words that checks ask. All pure.
#pragma once

#include "parser/ignore.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::builder {

/// Does a variable's name sound like a secret: is one of its words, between "_", "token", "password", "key" …, and none
/// of them "public", "file" or "version"? In any case.
bool looks_like_secret(std::string_view name);

/// Is it a URL or a git repository, and not a path?
bool is_remote_source(std::string_view source);

/// The cleaned path of a source that the ignore file hides as a whole; nothing if it does not, or if exceptions make
/// that hard to tell.
std::optional<std::string> ignored_source(std::string_view source, const parser::IgnoreMatcher& ignore);

/// A command of a shell form as a list, if a shell does nothing with it but cut it into words.
std::optional<std::string> list_of_words(std::string_view command);

/// Letters, digits and signs that mean nothing to anybody, variables among them: needs no quotes.
bool is_one_plain_word(std::string_view text);

/// Is a path that WORKDIR names absolute on that system? "\\" and drives count on Windows.
bool is_absolute_on(std::string_view path, std::string_view os);

/// Is `path` the directory itself, or something below it? Both absolute and clean.
bool lies_below(std::string_view path, std::string_view directory);

}  // namespace imgbuild::builder
