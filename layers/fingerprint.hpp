// By what a file of the user's is known again without being read.
#pragma once

#include "layers/store.hpp"

#include <sys/stat.h>
#include <cstdint>

namespace imgbuild::layers {

FileFingerprint fingerprint_of(const struct stat& status);

/// Whether a change to the file after `read_at` (nanoseconds since 1970) shows in its fingerprint. It does not if its
/// times are so near that a second change could get the same ones.
bool would_show_a_change(const FileFingerprint& file, std::int64_t read_at);

}  // namespace imgbuild::layers
