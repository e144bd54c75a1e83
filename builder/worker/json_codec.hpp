// Described values (fields.hpp) to JSON and back. To be included by protocol.cpp only, which brings nlohmann/json.hpp.
//
// A struct is an object with all its members; a variant an object with one member, which names the alternative; an
// enumeration its name; an absent optional null; a digest, a reference its text. A text that is not UTF-8 is
// {"bytes": "…"}, where the characters U+0000 to U+00FF stand for bytes. Reading refuses what it does not know; a
// member that is absent keeps its default.
#pragma once

#include <imgbuild/digest.hpp>
#include <imgbuild/error.hpp>
#include <imgbuild/reference.hpp>

#include "builder/worker/fields.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace imgbuild::worker::codec {

/// `place` is the way to the value, "request.task.build.jobs".
[[noreturn]] inline void refuse(const std::string& place, std::string_view problem) {
    throw CorruptData({.code = "worker.bad-message",
                       .message = fmt::format("the worker protocol does not know this: {} {}", place, problem),
                       .hint = "both sides have to be of one version (docs/worker-protocol.md)",
                       .where = {}});
}

template <class Json>
struct Codec {
    // ------------------------------------------------------------ write

    static Json write(bool value) { return value; }
    static Json write(std::integral auto value) { return value; }
    static Json write(const Digest& digest) { return digest.text(); }
    static Json write(const Reference& reference) { return reference.text(); }
    template <class Tag>
    static Json write(const TaggedDigest<Tag>& digest) {
        return digest.text();
    }
    static Json write(std::chrono::milliseconds duration) { return duration.count(); }

    static Json write(const std::string& text) {
        if (util::is_valid_utf8(text)) return text;
        std::string characters;
        for (const char c : text) {
            const auto byte = static_cast<unsigned char>(c);
            if (byte < 0x80) {
                characters += c;
            } else {
                characters += static_cast<char>(0xc0 | (byte >> 6));
                characters += static_cast<char>(0x80 | (byte & 0x3f));
            }
        }
        Json out = Json::object();
        out["bytes"] = characters;
        return out;
    }

    template <class Enum>
    requires std::is_enum_v<Enum>
    static Json write(Enum value) { return name_of(value); }
    template <class T>
    static Json write(const std::optional<T>& value) {
        return value ? write(*value) : Json();
    }
    template <class T>
    static Json write(const std::shared_ptr<const T>& value) {
        return value ? write(*value) : Json();
    }
    template <class T>
    static Json write(const std::vector<T>& list) {
        Json out = Json::array();
        for (const T& element : list) out.push_back(write(element));
        return out;
    }
    static Json write(const std::set<std::string>& set) {
        Json out = Json::array();
        for (const std::string& element : set) out.push_back(write(element));
        return out;
    }
    template <class A, class B>
    static Json write(const std::pair<A, B>& pair) {
        Json out = Json::array();
        out.push_back(write(pair.first));
        out.push_back(write(pair.second));
        return out;
    }
    // As pairs, since names of an object could be no bytes.
    template <class Value, class Less>
    static Json write(const std::map<std::string, Value, Less>& map) {
        Json out = Json::array();
        for (const auto& entry : map) out.push_back(write(std::pair<std::string, Value>(entry)));
        return out;
    }
    template <Named Variant>
    static Json write(const Variant& value) {
        static_assert(kNames<Variant>.size() == std::variant_size_v<Variant>);
        Json out = Json::object();
        out[std::string(kNames<Variant>[value.index()])] =
            std::visit([](const auto& alternative) { return write(alternative); }, value);
        return out;
    }
    template <Described Struct>
    static Json write(const Struct& value) {
        require_all_fields<Struct>();
        Json out = Json::object();
        std::apply([&](const auto&... f) { (write_member(f, value, out), ...); }, kFields<Struct>);
        return out;
    }

    // ------------------------------------------------------------ read

    static void read(const Json& from, bool& into, const std::string& place) {
        if (!from.is_boolean()) refuse(place, "is neither true nor false");
        into = from.template get<bool>();
    }

    template <std::integral Number>
    requires(!std::same_as<Number, bool>) static void read(const Json& from, Number& into, const std::string& place) {
        if (from.is_number_unsigned()) {
            const auto number = from.template get<std::uint64_t>();
            if (!std::in_range<Number>(number)) refuse(place, "is too large");
            into = static_cast<Number>(number);
        } else if (from.is_number_integer()) {
            const auto number = from.template get<std::int64_t>();
            if (!std::in_range<Number>(number)) refuse(place, "is out of range");
            into = static_cast<Number>(number);
        } else {
            refuse(place, "is no whole number");
        }
    }

    static void read(const Json& from, std::chrono::milliseconds& into, const std::string& place) {
        std::int64_t count = 0;
        read(from, count, place);
        into = std::chrono::milliseconds(count);
    }

    static void read(const Json& from, std::string& into, const std::string& place) {
        if (from.is_string()) {
            into = from.template get_ref<const std::string&>();
            return;
        }
        if (!from.is_object() || from.size() != 1 || !from.contains("bytes") || !from["bytes"].is_string())
            refuse(place, "is no text");
        into = bytes_of(from["bytes"].template get_ref<const std::string&>(), place);
    }

    static void read(const Json& from, Digest& into, const std::string& place) {
        std::string text;
        read(from, text, place);
        const auto digest = Digest::parse(text);
        if (!digest) refuse(place, "is no digest");
        into = *digest;
    }
    template <class Tag>
    static void read(const Json& from, TaggedDigest<Tag>& into, const std::string& place) {
        Digest digest;
        read(from, digest, place);
        into = TaggedDigest<Tag>(digest);
    }

    template <class Enum>
    requires std::is_enum_v<Enum>
    static void read(const Json& from, Enum& into, const std::string& place) {
        std::string text;
        read(from, text, place);
        for (int value = 0; !name_of(static_cast<Enum>(value)).empty(); ++value) {
            if (name_of(static_cast<Enum>(value)) != text) continue;
            into = static_cast<Enum>(value);
            return;
        }
        refuse(place, fmt::format("cannot be {}", util::quote(text)));
    }

    template <class T>
    static void read(const Json& from, std::optional<T>& into, const std::string& place) {
        into.reset();
        if (!from.is_null()) into = make<T>(from, place);
    }
    template <class T>
    static void read(const Json& from, std::shared_ptr<const T>& into, const std::string& place) {
        into.reset();
        if (!from.is_null()) into = std::make_shared<T>(make<T>(from, place));
    }
    template <class T>
    static void read(const Json& from, std::vector<T>& into, const std::string& place) {
        if (!from.is_array()) refuse(place, "is no list");
        into.clear();
        for (const Json& element : from) into.push_back(make<T>(element, fmt::format("{}[{}]", place, into.size())));
    }
    static void read(const Json& from, std::set<std::string>& into, const std::string& place) {
        std::vector<std::string> list;
        read(from, list, place);
        into = {list.begin(), list.end()};
        if (into.size() != list.size()) refuse(place, "has an element twice");
    }
    template <class A, class B>
    static void read(const Json& from, std::pair<A, B>& into, const std::string& place) {
        if (!from.is_array() || from.size() != 2) refuse(place, "is no pair");
        read(from[0], into.first, place + "[0]");
        read(from[1], into.second, place + "[1]");
    }
    template <class Value, class Less>
    static void read(const Json& from, std::map<std::string, Value, Less>& into, const std::string& place) {
        std::vector<std::pair<std::string, Value>> pairs;
        read(from, pairs, place);
        into.clear();
        for (auto& pair : pairs) {
            if (!into.insert(std::move(pair)).second) refuse(place, "has a name twice");
        }
    }

    template <Named Variant>
    static void read(const Json& from, Variant& into, const std::string& place) {
        if (!from.is_object() || from.size() != 1) refuse(place, "is no object with one member");
        read_alternative(from.begin(), into, place, std::make_index_sequence<std::variant_size_v<Variant>>());
    }

    template <Described Struct>
    static void read(const Json& from, Struct& into, const std::string& place) {
        require_all_fields<Struct>();
        if (!from.is_object()) refuse(place, "is no object");
        std::size_t known = 0;
        const auto read_member = [&]<class Member>(const Member& f) {
            if constexpr (!is_kept<Member>) {
                const auto member = from.find(std::string(f.name));
                if (member == from.end()) return;
                ++known;
                read(*member, into.*f.member, fmt::format("{}.{}", place, f.name));
            }
        };
        std::apply([&](const auto&... f) { (read_member(f), ...); }, kFields<Struct>);
        if (known != from.size()) refuse_unknown<Struct>(from, place);
    }

    /// For types without a default value as well.
    template <class T>
    static T make(const Json& from, const std::string& place) {
        if constexpr (std::same_as<T, Reference>) {
            std::string text;
            read(from, text, place);
            return Reference::parse(text);
        } else {
            T out{};
            read(from, out, place);
            return out;
        }
    }

private:
    template <class Member, class Struct>
    static void write_member(const Member& member, const Struct& value, Json& out) {
        if constexpr (!is_kept<Member>) out[std::string(member.name)] = write(value.*member.member);
    }

    static std::string bytes_of(const std::string& characters, const std::string& place) {
        std::string out;
        for (std::size_t i = 0; i < characters.size(); ++i) {
            const auto lead = static_cast<unsigned char>(characters[i]);
            if (lead < 0x80) {
                out += characters[i];
            } else if (lead <= 0xc3 && i + 1 < characters.size()) {
                out += static_cast<char>(((lead & 0x03) << 6) | (static_cast<unsigned char>(characters[++i]) & 0x3f));
            } else {
                refuse(place, "has a character that stands for no byte");
            }
        }
        return out;
    }

    template <class Iterator, class Variant, std::size_t... I>
    static void read_alternative(const Iterator& member, Variant& into, const std::string& place,
                                 std::index_sequence<I...>) {
        const std::string& name = member.key();
        const std::string inner = fmt::format("{}.{}", place, name);
        const bool known = ((kNames<Variant>[I] == name &&
                             (into = make<std::variant_alternative_t<I, Variant>>(member.value(), inner), true)) ||
                            ...);
        if (!known) refuse(place, fmt::format("cannot be {}", util::quote(name)));
    }

    template <Described Struct>
    [[noreturn]] static void refuse_unknown(const Json& from, const std::string& place) {
        for (const auto& member : from.items()) {
            const bool known = std::apply(
                [&](const auto&... f) { return ((f.name == member.key() && !f.name.empty()) || ... || false); },
                kFields<Struct>);
            if (!known) refuse(place, fmt::format("has no member {}", util::quote(member.key())));
        }
        refuse(place, "has a member that nobody knows");
    }
};

}  // namespace imgbuild::worker::codec
