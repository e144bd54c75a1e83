// From what stat() says of a file to the entry of a layer.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string_view>

#include "layers/entry.hpp"

namespace imgbuild::layers {

/// Nothing for a socket, which no layer can hold. A whiteout of overlayfs is a character device here.
std::optional<EntryType> entry_type(mode_t mode);
/// Type, mode, owner, time (whole seconds), size and device number; not the link's target nor the attributes.
/// Precondition: it is no socket.
Entry stat_entry(std::string_view path, const struct stat& status);

/// Attributes that the host's security modules write by themselves, which say nothing about the file.
bool is_written_by_host(std::string_view xattr);

}  // namespace imgbuild::layers
