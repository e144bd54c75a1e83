#include "cli/image_names.hpp"

#include <imgbuild/error.hpp>
#include <imgbuild/reference.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::cli {
namespace {

// A whole id, which is no name: references of 64 hexadecimal digits are refused for this reason.
constexpr std::size_t kIdLength = 64;

bool looks_like_id(std::string_view text) {
    if (text.starts_with("sha256:")) text.remove_prefix(7);
    return text.size() >= 4 && text.size() <= kIdLength && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

}  // namespace

layers::ImageRecord require_image(layers::Store& store, const std::string& text) {
    const bool only_id = text.starts_with("sha256:") || (text.size() == kIdLength && looks_like_id(text));
    if (!only_id) {
        if (auto image = store.find_image(Reference::parse(text).text())) return *image;
    }
    if (looks_like_id(text)) {
        if (auto image = store.find_image(text)) return *image;
    }
    throw UsageError({.code = "usage.no-such-image",
                      .message = fmt::format("there is no image {} in the store", util::quote(text)),
                      .hint = "`imgbuild images` lists them",
                      .where = {}});
}

}  // namespace imgbuild::cli
