// How we read JSON that comes from outside: bounded, typed, and with errors that name the member.
//
// As in Go's readers, `null` counts as absent. Members nobody asked for can be taken along as text.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::oci {

/// Deepest nesting that we read. Our own documents need seven.
inline constexpr std::size_t kMaxJsonDepth = 64;

/// Parses text of at most `limit` bytes. Throws CorruptData: `code` for malformed text and too deep nesting,
/// "corrupt.too-large" beyond the limit. `what` names the document.
nlohmann::json parse_json(std::string_view text, std::size_t limit, std::string_view what, std::string_view code);

/// Compact text with members sorted by name; bytes that are not UTF-8 become U+FFFD.
std::string canonical_json(const nlohmann::json& value);

/// One object, asked member by member. Every accessor throws CorruptData if the member has another type. The value
/// must outlive the reader.
class JsonObject {
public:
    /// Throws CorruptData if `value` is no object.
    JsonObject(const nlohmann::json& value, std::string what, std::string code);

    bool has(std::string_view name) const;
    /// Empty if absent.
    std::string text(std::string_view name);
    /// Throws if absent as well.
    std::string required_text(std::string_view name);
    bool flag(std::string_view name);
    /// 0 if absent. Whole numbers only.
    std::int64_t integer(std::string_view name);
    std::optional<std::vector<std::string>> strings(std::string_view name);
    /// {"a": "b"}
    std::map<std::string, std::string, std::less<>> string_map(std::string_view name);
    /// The keys of {"a": {}, "b": {}}, docker's way of writing sets.
    std::set<std::string, std::less<>> key_set(std::string_view name);
    /// Null if absent.
    const nlohmann::json* object(std::string_view name);
    /// Null if absent. Throws if there are more than `limit` elements.
    const nlohmann::json* array(std::string_view name, std::size_t limit);

    /// All members that no accessor was asked for, as canonical text; nulls as well.
    std::map<std::string, std::string, std::less<>> rest() const;

    const std::string& what() const { return what_; }
    /// Throws CorruptData: "<what>: <problem>".
    [[noreturn]] void fail(std::string_view problem) const;

private:
    const nlohmann::json* find(std::string_view name);

    const nlohmann::json& value_;
    std::string what_;
    std::string code_;
    std::set<std::string, std::less<>> asked_;
};

}  // namespace imgbuild::oci
