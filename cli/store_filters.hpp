// The options that pick objects of the store, as `du` and `prune` take them: `--filter NAME=VALUE`, `--older-than`.
#pragma once

#include "layers/inventory.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::cli {

struct StoreFilters {
    /// type=: any of them; empty: not asked.
    std::set<layers::ObjectKind> kinds;
    /// until=: last used before; nanoseconds since 1970.
    std::optional<std::int64_t> unused_since;
    /// id=: how it begins, with or without "sha256:"; any of them.
    std::vector<std::string> ids;
    /// inuse=, shared=, private=
    std::optional<bool> in_use;
    std::optional<bool> shared;

    bool empty() const;
    bool accept(const layers::StoredObject& object) const;
};

/// `known`: the names that the command takes, in the order in which a message lists them. `older_than` is one more
/// "until=…", or empty. A time is a duration back from `now` ("24h", "7d"), RFC 3339, a date, or seconds since 1970.
/// Throws UsageError ("usage.bad-filter").
StoreFilters parse_store_filters(const std::vector<std::string>& filters, const std::string& older_than,
                                 const std::vector<std::string_view>& known, std::int64_t now);

/// A size of `option` in bytes: "20GB", "1.5g", "500000"; units are powers of 1024. Throws UsageError
/// ("usage.bad-size").
std::uint64_t parse_store_size(std::string_view option, std::string_view text);

}  // namespace imgbuild::cli
