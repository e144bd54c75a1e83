// Names of images. Grammar: github.com/distribution/reference; normal form as docker uses it.
#pragma once

#include <imgbuild/digest.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace imgbuild {

/// A normalised image name: "busybox" is docker.io/library/busybox:latest. Immutable value.
class Reference {
public:
    /// Throws UsageError ("usage.bad-reference") that says which part is wrong.
    static Reference parse(std::string_view text);

    /// Registry host with optional port, for example "docker.io", "127.0.0.1:5000".
    const std::string& domain() const { return domain_; }
    /// Repository below the host, for example "library/busybox".
    const std::string& path() const { return path_; }
    /// Empty only if there is a digest and no tag was written.
    const std::string& tag() const { return tag_; }
    const std::optional<Digest>& digest() const { return digest_; }

    /// domain/path
    std::string repository() const { return domain_ + "/" + path_; }
    /// The whole normal form, domain/path[:tag][@digest].
    std::string text() const;
    /// As people write it: without "docker.io/library/" and "docker.io/".
    std::string familiar() const;

    friend bool operator==(const Reference&, const Reference&) = default;

private:
    std::string domain_;
    std::string path_;
    std::string tag_;
    std::optional<Digest> digest_;
};

}  // namespace imgbuild
