#include "cli/outputs.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::cli {
namespace {

UsageError bad_output(std::string message, std::string hint) {
    return UsageError(
        {.code = "usage.bad-output", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

bool parse_flag(const std::string& key, const std::string& value) {
    if (value == "true" || value == "1") return true;
    if (value == "false" || value == "0") return false;
    throw bad_output(fmt::format("{}={} is neither true nor false", key, value), "");
}

struct Fields {
    std::string type;
    std::optional<std::string> dest;
    std::optional<bool> tar;
    std::optional<bool> push;
};

// What a type has no use for is refused: whoever wrote it expects something to happen.
void refuse_option(bool given, std::string_view option, const Fields& fields) {
    if (!given) return;
    throw bad_output(fmt::format("--output type={} has no option {}", fields.type, option), "");
}

Fields parse_fields(std::string_view text) {
    Fields out;
    for (const std::string& field : split_csv(text)) {
        const std::size_t equals = field.find('=');
        const std::string key = util::to_lower(field.substr(0, equals));
        const std::string value = equals == std::string::npos ? "" : field.substr(equals + 1);
        if (key == "type") {
            out.type = value;
        } else if (key == "dest") {
            out.dest = value;
        } else if (key == "tar") {
            out.tar = parse_flag(key, value);
        } else if (key == "push") {
            out.push = parse_flag(key, value);
        } else {
            throw bad_output(fmt::format("the option {} of --output is not supported yet", util::quote(field)),
                             "type, dest, tar and push are");
        }
    }
    return out;
}

builder::Output oci_output(const Fields& fields) {
    using Kind = builder::Output::Kind;
    refuse_option(fields.push.has_value(), "push", fields);
    if (fields.dest.value_or("").empty())
        throw bad_output("--output type=oci has no dest", "add dest=FILE, or dest=- for standard output");
    return {.kind = fields.tar.value_or(true) ? Kind::oci_archive : Kind::oci_layout, .destination = *fields.dest};
}

UsageError misplaced_quote(std::string_view text) {
    return bad_output(
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
    throw bad_output(fmt::format("a quote in {} is not closed", util::quote(text)), "");
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

std::optional<builder::Output> parse_output(std::string_view text) {
    using Kind = builder::Output::Kind;
    const Fields fields = parse_fields(text);
    if (fields.type == "oci") return oci_output(fields);
    if (fields.type == "registry" || fields.type == "image") {
        refuse_option(fields.dest.has_value(), "dest", fields);
        refuse_option(fields.tar.has_value(), "tar", fields);
        if (!fields.push.value_or(fields.type == "registry")) return std::nullopt;
        return builder::Output{.kind = Kind::registry, .destination = {}};
    }
    throw bad_output(fmt::format("--output {} is not supported yet", util::quote(text)),
                     "the types are: image, registry, oci (with dest=FILE, or tar=false,dest=DIR)");
}

}  // namespace imgbuild::cli
