// The grammar, as regular expressions over bytes:
//
//     reference   name [":" tag] ["@" digest]
//     name        [domain "/"] path                   path at most 255 bytes
//     domain      (label ("." label)* | "[" ipv6 "]") [":" [0-9]+]
//     label       [a-zA-Z0-9] ([a-zA-Z0-9-]* [a-zA-Z0-9])?
//     path        component ("/" component)*
//     component   [a-z0-9]+ (("." | "_" | "__" | "-"+) [a-z0-9]+)*
//     tag         [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127}
//
// It needs no backtracking: neither name nor tag can hold an "@", a tag has no "/", and what could be a domain is one
// whenever something follows it.
#include "oci/reference_parts.hpp"

#include <imgbuild/error.hpp>
#include <imgbuild/reference.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace imgbuild {
namespace oci {
namespace {

constexpr std::string_view kDockerHub = "docker.io";
constexpr std::string_view kDockerHubOld = "index.docker.io";
constexpr std::string_view kOfficial = "library/";
constexpr std::size_t kLongestPath = 255;
constexpr std::size_t kLongestTag = 128;

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
    throw UsageError({.code = "usage.bad-reference",
                      .message = fmt::format("{} is not an image name: {}", util::quote(text), why),
                      .hint = "names look like registry.example:5000/team/app:1.2 or app@sha256:…",
                      .where = {}});
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
bool is_lower_or_digit(char c) {
    return is_lower(c) || is_digit(c);
}
bool is_word(char c) {
    return is_lower(c) || is_upper(c) || is_digit(c);
}
bool is_lower_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f');
}
bool is_hex(char c) {
    return is_lower_hex(c) || (c >= 'A' && c <= 'F');
}

template <class Predicate>
bool all(std::string_view text, Predicate predicate) {
    return std::all_of(text.begin(), text.end(), predicate);
}

bool is_label(std::string_view text) {
    return !text.empty() && is_word(text.front()) && is_word(text.back()) &&
           all(text, [](char c) { return is_word(c) || c == '-'; });
}

bool is_host(std::string_view text) {
    if (text.starts_with('[')) {
        return text.size() > 2 && text.ends_with(']') &&
               all(text.substr(1, text.size() - 2), [](char c) { return is_hex(c) || c == ':'; });
    }
    const std::vector<std::string_view> labels = util::split(text, '.');
    return std::all_of(labels.begin(), labels.end(), is_label);
}

bool is_domain(std::string_view text) {
    const std::size_t bracket = text.rfind(']');
    const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
    if (colon == std::string_view::npos) return is_host(text);
    const std::string_view port = text.substr(colon + 1);
    return !port.empty() && all(port, is_digit) && is_host(text.substr(0, colon));
}

bool is_separator(std::string_view text) {
    return text == "." || text == "_" || text == "__" || (!text.empty() && all(text, [](char c) { return c == '-'; }));
}

bool is_path_component(std::string_view text) {
    if (text.empty() || !is_lower_or_digit(text.front()) || !is_lower_or_digit(text.back())) return false;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t begin = i;
        while (i < text.size() && !is_lower_or_digit(text[i])) ++i;
        if (i > begin && !is_separator(text.substr(begin, i - begin))) return false;
        while (i < text.size() && is_lower_or_digit(text[i])) ++i;
    }
    return true;
}

bool is_path(std::string_view text) {
    const std::vector<std::string_view> components = util::split(text, '/');
    return std::all_of(components.begin(), components.end(), is_path_component);
}

bool is_tag(std::string_view text) {
    return !text.empty() && text.size() <= kLongestTag && (is_word(text.front()) || text.front() == '_') &&
           all(text, [](char c) { return is_word(c) || c == '_' || c == '.' || c == '-'; });
}

std::optional<std::size_t> hex_digits_of(std::string_view algorithm) {
    if (algorithm == "sha256") return 64;
    if (algorithm == "sha384") return 96;
    if (algorithm == "sha512") return 128;
    return std::nullopt;
}

void check_digest(std::string_view digest, std::string_view whole) {
    const std::size_t colon = digest.find(':');
    const auto length = hex_digits_of(digest.substr(0, colon));
    if (colon == std::string_view::npos || !length) refuse(whole, "what follows '@' must be a digest like sha256:…");
    const std::string_view hex = digest.substr(colon + 1);
    if (hex.size() != *length || !all(hex, is_lower_hex)) {
        refuse(whole,
               fmt::format("a {} digest has {} lower-case hexadecimal digits", digest.substr(0, colon), *length));
    }
}

// Where the tag's ":" is, if there is one: behind the last "/".
std::size_t tag_colon(std::string_view text) {
    const std::size_t slash = text.rfind('/');
    return text.find(':', slash == std::string_view::npos ? 0 : slash);
}

void split_name(std::string_view name, std::string_view whole, ReferenceParts& out) {
    const std::size_t slash = name.find('/');
    if (slash != std::string_view::npos && is_domain(name.substr(0, slash)) && is_path(name.substr(slash + 1))) {
        out.domain = name.substr(0, slash);
        out.path = name.substr(slash + 1);
    } else if (is_path(name)) {
        out.path = name;
    } else if (is_path(util::to_lower(name))) {
        refuse(whole, "repository names are lower case");
    } else {
        refuse(whole, fmt::format("{} is no repository name", util::quote(name)));
    }
    if (out.path.size() > kLongestPath) refuse(whole, "a repository name has at most 255 characters");
}

// "a/b" is a repository of Docker Hub, "a.b/c", "a:1/c", "localhost/c" and "A/c" are on a host.
bool names_a_host(std::string_view first) {
    return first.contains('.') || first.contains(':') || first == "localhost" || util::to_lower(first) != first;
}

}  // namespace

std::string ReferenceParts::name() const {
    return domain.empty() ? path : domain + "/" + path;
}

std::string ReferenceParts::text() const {
    std::string out = name();
    if (!tag.empty()) out += ":" + tag;
    if (!digest.empty()) out += "@" + digest;
    return out;
}

std::string ReferenceParts::text_with_default_tag() const {
    return tag.empty() && digest.empty() ? name() + ":latest" : text();
}

std::string ReferenceParts::familiar_name() const {
    if (domain != kDockerHub) return name();
    const std::string_view short_path =
        std::string_view(path).substr(path.starts_with(kOfficial) ? kOfficial.size() : 0);
    // Two levels below library/ could be taken for a user's repository.
    return std::string(short_path.contains('/') ? std::string_view(path) : short_path);
}

std::string ReferenceParts::familiar() const {
    return familiar_name() + text().substr(name().size());
}

ReferenceParts parse_reference_strictly(std::string_view text) {
    if (text.empty()) refuse(text, "it is empty");
    ReferenceParts out;
    std::string_view rest = text;
    if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
        check_digest(rest.substr(at + 1), text);
        out.digest = rest.substr(at + 1);
        rest = rest.substr(0, at);
    }
    if (const std::size_t colon = tag_colon(rest); colon != std::string_view::npos) {
        if (!is_tag(rest.substr(colon + 1))) {
            refuse(text, "a tag has 1 to 128 letters, digits, '_', '.' and '-', and begins with neither '.' nor '-'");
        }
        out.tag = rest.substr(colon + 1);
        rest = rest.substr(0, colon);
    }
    split_name(rest, text, out);
    return out;
}

ReferenceParts parse_reference_normalized(std::string_view text) {
    if (text.empty()) refuse(text, "it is empty");
    if (text.size() == 64 && all(text, is_lower_hex)) refuse(text, "64 hexadecimal digits would look like an image id");
    const std::size_t slash = text.find('/');
    std::string_view domain = kDockerHub;
    std::string_view rest = text;
    if (slash != std::string_view::npos && names_a_host(text.substr(0, slash))) {
        domain = text.substr(0, slash);
        rest = text.substr(slash + 1);
        if (domain == kDockerHubOld) domain = kDockerHub;
    }
    const bool official = domain == kDockerHub && !rest.contains('/');
    const std::string whole = fmt::format("{}/{}{}", domain, official ? kOfficial : "", rest);
    try {
        return parse_reference_strictly(whole);
    } catch (const UsageError& error) {
        // The message must quote what the user wrote, not what we made of it.
        const std::string& message = error.message();
        const std::string prefix = util::quote(whole) + " is not an image name: ";
        refuse(text, message.starts_with(prefix) ? std::string_view(message).substr(prefix.size()) : message);
    }
}

}  // namespace oci

Reference Reference::parse(std::string_view text) {
    oci::ReferenceParts parts = oci::parse_reference_normalized(text);
    Reference out;
    if (!parts.digest.empty()) {
        out.digest_ = Digest::parse(parts.digest);
        if (!out.digest_) {
            throw UsageError({.code = "registry.unsupported-digest",
                              .message = fmt::format("{} has a digest of an unsupported algorithm", util::quote(text)),
                              .hint = "only sha256 digests are supported",
                              .where = {}});
        }
    }
    out.domain_ = std::move(parts.domain);
    out.path_ = std::move(parts.path);
    out.tag_ = parts.tag.empty() && !out.digest_ ? "latest" : std::move(parts.tag);
    return out;
}

std::string Reference::text() const {
    std::string out = repository();
    if (!tag_.empty()) out += ":" + tag_;
    if (digest_) out += "@" + digest_->text();
    return out;
}

std::string Reference::familiar() const {
    const oci::ReferenceParts parts{
        .domain = domain_, .path = path_, .tag = tag_, .digest = digest_ ? digest_->text() : std::string()};
    return parts.familiar();
}

}  // namespace imgbuild
