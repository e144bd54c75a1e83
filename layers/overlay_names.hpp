// How overlayfs (mounted with `userxattr`) marks things in a directory of its own. Private to layers/.
// Spec: kernel Documentation/filesystems/overlayfs.rst.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::layers {

inline constexpr const char* kOpaqueXattr = "user.overlay.opaque";

/// The name under which an attribute lies in a tree: overlayfs hides "user.overlay.x" as its own and shows
/// "user.overlay.overlay.x" as "user.overlay.x".
std::string stored_name(std::string_view name);
/// The reverse; nothing for an attribute that is overlayfs's own.
std::optional<std::string> true_name(std::string_view stored);

}  // namespace imgbuild::layers
