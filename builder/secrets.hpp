// Secrets and ssh agents, as whoever starts a build hands them over.
//
// The value of a secret lives in a memory file from the moment that we learn it until a step finds it: it is in no
// string of ours, so that no log, key, error, command line or core can have it.
#pragma once

#include "util/fd.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::builder {

/// Most bytes of a secret: what docker allows.
inline constexpr std::size_t kMaxSecretBytes = std::size_t{500} << 10U;

/// A sealed memory file with what the file at `path` holds. Throws IoError; Error ("source.secret-too-large").
util::Fd secret_from_file(const std::string& path);
/// The same with a text. Wiping `value` is the caller's.
util::Fd secret_from_text(std::string_view value);

/// Who answers for secrets and agents. Both functions may be called from several threads, and may be empty: nothing is
/// known then.
struct Confidants {
    /// A memory file with the value, its own for each call; nothing if there is no secret `id`.
    std::function<std::optional<util::Fd>(const std::string& id)> secret;
    /// Path of the socket of the ssh agent `id`; nothing if there is none.
    std::function<std::optional<std::string>(const std::string& id)> agent;
};

}  // namespace imgbuild::builder
