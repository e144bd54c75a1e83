// What libcurl's error codes mean to people. Internal to CurlTransport.
#pragma once

#include <curl/curl.h>

#include <string_view>

namespace imgbuild::registry {

/// Throws the RegistryError for an exchange that had no (whole) answer. `attempt` is what was tried, with a redacted
/// URL; `detail` is libcurl's own sentence; `host` whom we wanted to reach.
[[noreturn]] void throw_curl_error(CURLcode code, std::string_view attempt, std::string_view host,
                                   std::string_view detail);

}  // namespace imgbuild::registry
