// Who we are to the servers that ADD downloads from.
#pragma once

#include "builder/secrets.hpp"
#include "registry/url.hpp"

#include <optional>
#include <string>

namespace imgbuild::builder {

/// Value of the Authorization header for `url`, from the secrets HTTP_AUTH_HEADER_host (the whole value) or
/// HTTP_AUTH_TOKEN_host (a bearer token), of which the first wins (SPEC A8.08). `host` is looked for with its port and
/// then without. A line end behind the value is dropped. Nothing: no secret answers. Throws Error
/// ("source.bad-secret") for a value that no header can hold.
std::optional<std::string> url_authorization(const Confidants& confidants, const registry::Url& url);

}  // namespace imgbuild::builder
