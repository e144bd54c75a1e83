// A real registry (Debian's docker-registry) that lives as long as a test.
#pragma once

#include "util/files.hpp"

#include <sys/types.h>

#include <optional>
#include <string>

namespace imgbuild::registry {

/// Serves plain HTTP on 127.0.0.1 with its storage in a temporary directory; ended by the destructor.
class DockerRegistry {
public:
    /// Nothing, with a warning in the test's output, if the program is not installed; a failure instead if
    /// IMGBUILD_REQUIRE_SANDBOX=1 is set.
    static std::optional<DockerRegistry> start();
    DockerRegistry(DockerRegistry&& other) noexcept;
    DockerRegistry& operator=(DockerRegistry&&) = delete;
    ~DockerRegistry();

    /// "127.0.0.1:40123"
    const std::string& domain() const { return domain_; }
    /// The stored file of a blob.
    std::string blob_file(const std::string& hex) const;

private:
    DockerRegistry(util::TempDir directory, std::string domain, pid_t pid);

    util::TempDir directory_;
    std::string domain_;
    pid_t pid_;
};

}  // namespace imgbuild::registry
