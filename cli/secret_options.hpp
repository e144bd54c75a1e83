// --secret: where the value of a secret comes from.
#pragma once

#include "builder/secrets.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace imgbuild::cli {

/// "[type=file|env,]id=ID[,src=FILE|,env=NAME]" each; without a source the variable ID if it is set, else the file ID.
/// Values are read into memory files at once, and a variable's is wiped from this process's environment. Throws
/// UsageError ("usage.bad-secret"), Error ("source.secret").
std::function<std::optional<util::Fd>(const std::string& id)> read_secrets(const std::vector<std::string>& options);

}  // namespace imgbuild::cli
