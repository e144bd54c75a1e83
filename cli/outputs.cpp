#include "cli/outputs.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

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
    std::string dest;
    bool tar = true;
    bool push = false;
};

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

}  // namespace

std::vector<std::string> split_csv(std::string_view text) {
    std::vector<std::string> out(1);
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
            out.back() += text[++i];
        } else if (c == '"' && (quoted || out.back().empty())) {
            quoted = !quoted;
        } else if (c == ',' && !quoted) {
            out.emplace_back();
        } else {
            out.back() += c;
        }
    }
    if (quoted) throw bad_output(fmt::format("a quote in {} is not closed", util::quote(text)), "");
    return out;
}

std::optional<builder::Output> parse_output(std::string_view text) {
    using Kind = builder::Output::Kind;
    const Fields fields = parse_fields(text);
    if (fields.type == "oci") {
        if (fields.dest.empty())
            throw bad_output("--output type=oci has no dest", "add dest=FILE, or dest=- for standard output");
        return builder::Output{.kind = fields.tar ? Kind::oci_archive : Kind::oci_layout, .destination = fields.dest};
    }
    if (fields.type == "registry") return builder::Output{.kind = Kind::registry, .destination = {}};
    if (fields.type == "image") {
        if (!fields.push) return std::nullopt;
        return builder::Output{.kind = Kind::registry, .destination = {}};
    }
    throw bad_output(fmt::format("--output {} is not supported yet", util::quote(text)),
                     "the types are: image, registry, oci (with dest=FILE, or tar=false,dest=DIR)");
}

}  // namespace imgbuild::cli
