#include "cli/csv.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::cli {
namespace {

UsageError bad_list(std::string message, std::string hint) {
    return UsageError(
        {.code = "usage.bad-output", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

UsageError misplaced_quote(std::string_view text) {
    return bad_list(
        fmt::format("a quote in {} is neither at the beginning nor at the end of a field", util::quote(text)),
        "quote the whole field, as in 'type=oci,\"dest=a,b\"'");
}

// The field from the opening quote at `at` on, without its quotes; `at` moves behind the closing one.
std::string take_quoted(std::string_view text, std::size_t& at) {
    std::string field;
    while (++at < text.size()) {
        if (text[at] != '"') {
            field += text[at];
        } else if (text.substr(at + 1).starts_with('"')) {
            field += text[++at];
        } else {
            ++at;
            return field;
        }
    }
    throw bad_list(fmt::format("a quote in {} is not closed", util::quote(text)), "");
}

}  // namespace

std::vector<std::string> split_csv(std::string_view text) {
    std::vector<std::string> out;
    for (std::size_t at = 0;; ++at) {
        if (text.substr(at).starts_with('"')) {
            out.push_back(take_quoted(text, at));
        } else {
            const std::size_t end = std::min(text.find(',', at), text.size());
            out.emplace_back(text.substr(at, end - at));
            if (out.back().contains('"')) throw misplaced_quote(text);
            at = end;
        }
        if (at == text.size()) return out;
        if (text[at] != ',') throw misplaced_quote(text);
    }
}

}  // namespace imgbuild::cli
