// A platform as it was written, before normalisation. Grammar: github.com/containerd/platforms.
#pragma once

#include <imgbuild/platform.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::oci {

struct PlatformParts {
    std::string os;
    std::string architecture;
    std::string variant;
    std::string os_version;
    std::vector<std::string> os_features;

    /// "os/arch[/variant]"
    std::string text() const;
    /// "os[(version+feature…)]/arch[/variant]", reserved characters in the version as %XX.
    std::string text_with_version() const;
    /// "arm" gets its default variant v7, "arm64/v8" loses it; "x86_64" is "amd64".
    PlatformParts normalized() const;

    friend bool operator==(const PlatformParts&, const PlatformParts&) = default;
};

/// Reads "os[(version[+feature…])][/arch[/variant]]" or "arch" alone; what is left out is `host`'s. Aliases
/// ("x86_64", "macos") are resolved. Throws UsageError ("usage.bad-platform").
PlatformParts parse_platform_parts(std::string_view text, const Platform& host);

/// What a document says in its members, as our type; nothing is left out but the features.
Platform normalized_platform(std::string_view os, std::string_view architecture, std::string_view variant,
                             std::string os_version);

}  // namespace imgbuild::oci
