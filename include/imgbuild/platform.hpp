// What a machine is, in the words of image indexes. Spec: image-spec image-index.md §platform.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace imgbuild {

/// Normalised: "amd64" (not x86_64), "arm64" without variant v8, "arm" with its variant.
struct Platform {
    std::string os = "linux";
    std::string architecture;
    std::string variant;
    std::string os_version;

    /// Reads "os/arch[/variant]", "arch" or "os"; throws UsageError ("usage.bad-platform").
    static Platform parse(std::string_view text);
    /// That of the running kernel.
    static Platform host();

    /// "os/arch[/variant]"
    std::string text() const;
    friend bool operator==(const Platform&, const Platform&) = default;
};

/// Can an image made for `image` stand in where `wanted` was asked for? Same os and architecture, and either the
/// same variant or an older one, which the wanted machine understands as well: arm/v6 for arm/v7, amd64 for amd64/v3.
bool satisfies(const Platform& image, const Platform& wanted);

}  // namespace imgbuild
