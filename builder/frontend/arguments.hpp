// ARG: which names have which values, where. Spec: SPEC.md A4.
#pragma once

#include <imgbuild/error.hpp>

#include "builder/frontend/lower.hpp"
#include "parser/expand.hpp"
#include "parser/file.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgbuild::builder {

/// The variables of the build that need no declaration in the global scope: platforms, the target, and the values of
/// --build-arg; then the ARGs above the first FROM.
class GlobalArguments {
public:
    /// Throws Error with a place in the file for a malformed default.
    GlobalArguments(const parser::BuildFile& file, const LowerOptions& options);

    /// --build-arg NAME=…
    std::optional<std::string> given(std::string_view name) const;
    /// What `ARG NAME` without a default gets in a stage: given, declared above, or predefined.
    std::optional<std::string> inherited(std::string_view name) const;
    /// For FROM lines. Refers to this object.
    parser::Environment environment() const;
    /// Proxy settings that were given: RUN finds them without a declaration, and no key has them.
    std::vector<std::pair<std::string, std::string>> proxies() const;

private:
    std::map<std::string, std::string, std::less<>> given_;
    std::map<std::string, std::string, std::less<>> predefined_;
    std::map<std::string, std::string, std::less<>> declared_;
};

bool is_proxy_argument(std::string_view name);

}  // namespace imgbuild::builder
