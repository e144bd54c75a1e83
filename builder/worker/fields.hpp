// Structs that describe themselves: which members they have and under which names the protocol carries them.
//
//     template <> inline constexpr auto kFields<Point> = std::tuple{field("x", &Point::x), field("y", &Point::y)};
//
// One line per member is all that a new member needs, and a struct with a member that has no line does not compile
// (require_all_fields). Enumerations and variants are described in the same manner, by kNames and name_of().
#pragma once

#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace imgbuild::worker {

/// One member of a struct under its name on the wire.
template <class Struct, class Member>
struct Field {
    std::string_view name;
    Member Struct::*member;
};
template <class Struct, class Member>
constexpr Field<Struct, Member> field(std::string_view name, Member Struct::*member) {
    return {name, member};
}

/// A member that is not carried, as only the process that builds can have such a thing: it has its default after
/// reading, and a message that names it is refused like any unknown one.
template <class Struct, class Member>
struct Kept {
    std::string_view name;
    Member Struct::*member;
};
template <class Struct, class Member>
constexpr Kept<Struct, Member> kept(Member Struct::*member) {
    return {{}, member};
}

template <class Member>
inline constexpr bool is_kept = false;
template <class Struct, class Member>
inline constexpr bool is_kept<Kept<Struct, Member>> = true;

/// A tuple of Field and Kept, in the order in which they are written. To be specialised.
template <class Struct>
inline constexpr std::nullptr_t kFields = nullptr;
template <class Struct>
concept Described = !std::is_same_v<std::remove_cv_t<decltype(kFields<Struct>)>, std::nullptr_t>;

/// std::array of the names of a variant's alternatives, in their order. To be specialised.
template <class Variant>
inline constexpr std::nullptr_t kNames = nullptr;
template <class Variant>
concept Named = !std::is_same_v<std::remove_cv_t<decltype(kNames<Variant>)>, std::nullptr_t>;

namespace detail {

// Takes the place of any member. The conversion is const so that converting constructors of members (std::optional's)
// are better and not ambiguous with it.
struct Anything {
    template <class T>
    operator T() const;
};
template <std::size_t>
using AnythingAt = Anything;

template <class Struct, std::size_t... I>
constexpr bool takes(std::index_sequence<I...>) {
    return requires {
        Struct{AnythingAt<I>{}...};
    };
}

}  // namespace detail

/// How many members an aggregate has: one less than the number of initialisers that are too many.
template <class Struct, std::size_t N = 0>
constexpr std::size_t count_members() {
    if constexpr (detail::takes<Struct>(std::make_index_sequence<N + 1>())) {
        return count_members<Struct, N + 1>();
    } else {
        return N;
    }
}

template <class Struct>
constexpr void require_all_fields() {
    static_assert(std::is_aggregate_v<Struct>);
    static_assert(count_members<Struct>() == std::tuple_size_v<std::remove_cv_t<decltype(kFields<Struct>)>>,
                  "a member of this struct is not carried by the worker protocol: give it a line in its kFields "
                  "(builder/worker/request_fields.hpp or message_fields.hpp), and docs/worker-protocol.md");
}

}  // namespace imgbuild::worker
