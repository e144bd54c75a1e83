// Base64 (RFC 4648 section 4), as HTTP and docker's config files write it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::registry {

std::string base64_encode(std::string_view bytes);
/// With or without padding; white space at the ends is dropped. Nothing if it is not base64.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace imgbuild::registry
