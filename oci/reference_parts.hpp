// The two readings of an image name, with all their parts. Grammar and normal form: github.com/distribution/reference.
//
// Reference (include/imgbuild/reference.hpp) is what the rest of the house uses. This is what it is made from, and what
// `imgbuild debug` shows: digests of any algorithm, names without default tags, and the strict reading, in which "a/b"
// is repository b on host a, while people mean docker.io/a/b.
#pragma once

#include <string>
#include <string_view>

namespace imgbuild::oci {

struct ReferenceParts {
    /// Host with optional port; may be empty in the strict reading.
    std::string domain;
    std::string path;
    /// Empty if none was written.
    std::string tag;
    /// "algorithm:hex" of any registered algorithm; empty if none was written.
    std::string digest;

    /// domain/path
    std::string name() const;
    /// name[:tag][@digest]
    std::string text() const;
    /// Only with neither tag nor digest, ":latest" is added.
    std::string text_with_default_tag() const;
    /// name() and text() without "docker.io/library/" or "docker.io/", where what remains still means the same.
    std::string familiar_name() const;
    std::string familiar() const;

    friend bool operator==(const ReferenceParts&, const ReferenceParts&) = default;
};

/// The grammar alone. Throws UsageError ("usage.bad-reference").
ReferenceParts parse_reference_strictly(std::string_view text);
/// As docker reads it: "busybox" is docker.io/library/busybox. No tag is added. Throws UsageError.
ReferenceParts parse_reference_normalized(std::string_view text);

/// Does a familiar name match a shell pattern such as "foo/*/ba[rz]" (Go path.Match rules: "*" stops at "/"), with or
/// without its tag? Throws UsageError ("usage.bad-pattern").
bool familiar_match(std::string_view pattern, const ReferenceParts& reference);

}  // namespace imgbuild::oci
