#include "oci/json_object.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace imgbuild::oci {
namespace {

using nlohmann::json;

[[noreturn]] void throw_corrupt(std::string_view code, std::string message) {
    throw CorruptData({.code = std::string(code), .message = std::move(message), .hint = {}, .where = {}});
}

}  // namespace

json parse_json(std::string_view text, std::size_t limit, std::string_view what, std::string_view code) {
    if (text.size() > limit) {
        throw_corrupt("corrupt.too-large", fmt::format("{} is larger than {} bytes", what, limit));
    }
    // Parsing is iterative, but printing recurses, so depth is limited while it is still harmless.
    const auto too_deep = [&](int depth, json::parse_event_t, json&) {
        if (depth > static_cast<int>(kMaxJsonDepth)) {
            throw_corrupt(code, fmt::format("{} is nested deeper than {} levels", what, kMaxJsonDepth));
        }
        return true;
    };
    try {
        return json::parse(text.begin(), text.end(), too_deep);
    } catch (const json::parse_error& error) {
        throw_corrupt(code, fmt::format("{} is not valid JSON (at byte {})", what, error.byte));
    } catch (const json::out_of_range&) {
        throw_corrupt(code, fmt::format("{} has a number that no computer can hold", what));
    }
}

std::string canonical_json(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

JsonObject::JsonObject(const json& value, std::string what, std::string code)
    : value_(value), what_(std::move(what)), code_(std::move(code)) {
    if (!value_.is_object()) fail("must be a JSON object");
}

void JsonObject::fail(std::string_view problem) const {
    throw_corrupt(code_, fmt::format("{}: {}", what_, problem));
}

const json* JsonObject::find(std::string_view name) {
    asked_.emplace(name);
    const auto member = value_.find(name);
    return member == value_.end() || member->is_null() ? nullptr : &*member;
}

bool JsonObject::has(std::string_view name) const {
    const auto member = value_.find(name);
    return member != value_.end() && !member->is_null();
}

std::string JsonObject::text(std::string_view name) {
    const json* member = find(name);
    if (member == nullptr) return {};
    if (!member->is_string()) fail(fmt::format("'{}' must be a string", name));
    return member->get<std::string>();
}

std::string JsonObject::required_text(std::string_view name) {
    if (!has(name)) fail(fmt::format("'{}' is missing", name));
    return text(name);
}

bool JsonObject::flag(std::string_view name) {
    const json* member = find(name);
    if (member == nullptr) return false;
    if (!member->is_boolean()) fail(fmt::format("'{}' must be true or false", name));
    return member->get<bool>();
}

std::int64_t JsonObject::integer(std::string_view name) {
    const json* member = find(name);
    if (member == nullptr) return 0;
    const bool fits = member->is_number_integer() &&
                      !(member->is_number_unsigned() && member->get<std::uint64_t>() > std::uint64_t{INT64_MAX});
    if (!fits) fail(fmt::format("'{}' must be a whole number of at most 63 bits", name));
    return member->get<std::int64_t>();
}

std::optional<std::vector<std::string>> JsonObject::strings(std::string_view name) {
    const json* member = find(name);
    if (member == nullptr) return std::nullopt;
    if (!member->is_array()) fail(fmt::format("'{}' must be a list of strings", name));
    std::vector<std::string> out;
    for (const json& element : *member) {
        if (!element.is_string()) fail(fmt::format("'{}' must be a list of strings", name));
        out.push_back(element.get<std::string>());
    }
    return out;
}

std::map<std::string, std::string, std::less<>> JsonObject::string_map(std::string_view name) {
    std::map<std::string, std::string, std::less<>> out;
    const json* member = object(name);
    if (member == nullptr) return out;
    for (auto it = member->begin(); it != member->end(); ++it) {
        if (!it->is_string()) fail(fmt::format("{} in '{}' must be a string", util::quote(it.key()), name));
        out.emplace(it.key(), it->get<std::string>());
    }
    return out;
}

std::set<std::string, std::less<>> JsonObject::key_set(std::string_view name) {
    std::set<std::string, std::less<>> out;
    const json* member = object(name);
    if (member == nullptr) return out;
    for (auto it = member->begin(); it != member->end(); ++it) {
        if (!it->is_object()) fail(fmt::format("{} in '{}' must be an empty object", util::quote(it.key()), name));
        out.insert(it.key());
    }
    return out;
}

const json* JsonObject::object(std::string_view name) {
    const json* member = find(name);
    if (member != nullptr && !member->is_object()) fail(fmt::format("'{}' must be an object", name));
    return member;
}

const json* JsonObject::array(std::string_view name, std::size_t limit) {
    const json* member = find(name);
    if (member == nullptr) return nullptr;
    if (!member->is_array()) fail(fmt::format("'{}' must be a list", name));
    if (member->size() > limit) fail(fmt::format("'{}' has more than {} elements", name, limit));
    return member;
}

std::map<std::string, std::string, std::less<>> JsonObject::rest() const {
    std::map<std::string, std::string, std::less<>> out;
    for (auto it = value_.begin(); it != value_.end(); ++it) {
        if (!asked_.contains(it.key())) out.emplace(it.key(), canonical_json(*it));
    }
    return out;
}

}  // namespace imgbuild::oci
