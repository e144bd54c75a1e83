// For std::visit: one lambda per alternative.
#pragma once

namespace imgbuild::util {

template <class... Cases>
struct overloaded : Cases... {
    using Cases::operator()...;
};
// clang 14 does not deduce aggregates on its own.
template <class... Cases>
overloaded(Cases...) -> overloaded<Cases...>;

}  // namespace imgbuild::util
