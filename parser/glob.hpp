// Wildcards of COPY and ADD sources, with the meaning of Go's filepath.Match (on Unix), and cleaning of paths.
#pragma once

#include <string>
#include <string_view>

namespace imgbuild::parser {

/// Does `pattern` match the whole of `name`? "*" and "?" match anything but "/"; "[a-z]" and "[^a-z]" one character
/// of UTF-8; "\c" is c itself. Other than in Go a range that ends before it begins is malformed. Throws Error
/// "parse.bad-pattern" for a malformed pattern, whatever the name.
bool match_glob(std::string_view pattern, std::string_view name);

/// Is there any wildcard in it? Escaped ones count, since the pattern is to be matched then.
bool has_wildcard(std::string_view pattern);

/// Go's filepath.Clean: "." and ".." resolved, "//" joined, no trailing "/"; "" is ".".
std::string clean_pattern(std::string_view path);

}  // namespace imgbuild::parser
