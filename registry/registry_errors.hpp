// From a registry's refusal to our error. Spec: distribution-spec §Error Codes.
#pragma once

#include <imgbuild/error.hpp>

#include "registry/http.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::registry {

/// What a request is for; errors are told in these words.
struct Purpose {
    /// "pull manifest 'latest' of 127.0.0.1:5000/base"
    std::string what;
    /// "127.0.0.1:5000"
    std::string registry;
    /// The repository's, for credentials; may be empty.
    std::string path = {};
    /// What a token has to allow: "repository:team/app:pull,push". Sorted.
    std::vector<std::string> scopes = {};
};

/// An answer that may be better next time, and when the registry thinks it will be.
class TransientRefusal final : public RegistryError {
public:
    TransientRefusal(ErrorInfo info, int status, std::optional<std::chrono::seconds> retry_after)
        : RegistryError(std::move(info), status, Retry::yes), retry_after_(retry_after) {}

    std::optional<std::chrono::seconds> retry_after() const { return retry_after_; }

private:
    std::optional<std::chrono::seconds> retry_after_;
};

/// The code of the refusal of a manifest that names blobs which the registry does not have.
inline constexpr std::string_view kBlobsMissing = "registry.blob-unknown";

/// Throws for an answer that is no success: "registry.unauthorized", "registry.denied", "registry.not-found",
/// "registry.rate-limited", "registry.server-error", "registry.refused", "registry.blob-unknown". `attempt` is the
/// method and redacted URL. The registry's own codes and messages are quoted, at most a few and shortened. `who` is the
/// hint for a 401.
[[noreturn]] void throw_refusal(const HttpResponse& response, const Purpose& purpose, std::string_view attempt,
                                std::string who = {});

}  // namespace imgbuild::registry
