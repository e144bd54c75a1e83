#include "layers/overlay_names.hpp"

namespace imgbuild::layers {
namespace {

constexpr std::string_view kPrivate = "user.overlay.";
constexpr std::string_view kEscaped = "user.overlay.overlay.";

}  // namespace

std::string stored_name(std::string_view name) {
    if (!name.starts_with(kPrivate)) return std::string(name);
    return std::string(kEscaped).append(name.substr(kPrivate.size()));
}

std::optional<std::string> true_name(std::string_view stored) {
    if (stored.starts_with(kEscaped)) return std::string(kPrivate).append(stored.substr(kEscaped.size()));
    if (stored.starts_with(kPrivate)) return std::nullopt;
    return std::string(stored);
}

}  // namespace imgbuild::layers
