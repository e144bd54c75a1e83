// One line of undo at the end of a scope. Not for logic.
#pragma once

#include <utility>

namespace imgbuild::util {

template <class Action>
class [[nodiscard]] Defer {
public:
    explicit Defer(Action action) : action_(std::move(action)) {}
    Defer(const Defer&) = delete;
    Defer& operator=(const Defer&) = delete;
    ~Defer() { action_(); }

private:
    Action action_;
};

}  // namespace imgbuild::util
