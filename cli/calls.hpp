// What `build --call` asks for in place of an image.
#pragma once

#include "builder/build.hpp"
#include "cli/app_context.hpp"
#include "cli/check_file.hpp"

#include <string>

namespace imgbuild::cli {

struct Call {
    enum class Kind { build, check, outline, targets };
    Kind kind = Kind::build;
    /// "text", "json"; for checks also "sarif".
    std::string format = "text";
};

/// "check", "outline,format=json" …; "" is Kind::build. Throws UsageError ("usage.bad-call").
Call parse_call(const std::string& text);

/// Prints the answer; Kind::build must not come here. Returns the exit code.
int run_call(const Call& call, const builder::BuildRequest& request, AskFor ask, AppContext& context);

}  // namespace imgbuild::cli
