// A pointer to content: what it is, how long it is, and its digest. Spec: image-spec descriptor.md.
#pragma once

#include <imgbuild/digest.hpp>
#include <imgbuild/platform.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::oci {

using Annotations = std::map<std::string, std::string, std::less<>>;

struct Descriptor {
    std::string media_type;
    Digest digest;
    /// Bytes; at most 2^63-1.
    std::uint64_t size = 0;
    Annotations annotations;
    /// Only in the entries of an index. Normalised when read.
    std::optional<Platform> platform;
    /// Where else the bytes can be had. We carry them through and never follow them.
    std::vector<std::string> urls;
    /// Empty unless the target is an artifact.
    std::string artifact_type;
    /// The content itself in base64, as it was written; empty if it is not embedded. Carried through, never trusted.
    std::string data;

    friend bool operator==(const Descriptor&, const Descriptor&) = default;
};

/// The descriptor of `bytes`, digest and size computed.
Descriptor describe(std::string_view media_type, std::string_view bytes);

/// Reads one descriptor from JSON text. Throws CorruptData that names `what`, or "registry.unsupported-digest".
Descriptor parse_descriptor(std::string_view json, std::string_view what);

}  // namespace imgbuild::oci
