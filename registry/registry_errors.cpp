#include "registry/registry_errors.hpp"

#include "registry/retry.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

namespace imgbuild::registry {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxErrorBody = 64U << 10;
constexpr std::size_t kMaxErrorsTold = 3;
constexpr std::size_t kLongestMessage = 200;

std::string member(const json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>().substr(0, kLongestMessage)
                                                       : std::string();
}

struct Word {
    std::string code;
    std::string message;
};

// {"errors":[{"code":"…","message":"…"}]}; anything else says nothing to us.
std::vector<Word> registry_words(const std::string& body) {
    if (body.size() > kMaxErrorBody) return {};
    const json document = json::parse(body, nullptr, false);
    if (!document.is_object()) return {};
    const auto errors = document.find("errors");
    if (errors == document.end() || !errors->is_array()) return {};
    std::vector<Word> words;
    for (const json& error : *errors) {
        if (!error.is_object()) break;
        words.push_back({.code = member(error, "code"), .message = member(error, "message")});
    }
    return words;
}

std::string told(const std::vector<Word>& words) {
    std::string out;
    for (std::size_t i = 0; i < std::min(words.size(), kMaxErrorsTold); ++i) {
        out += fmt::format("{} {} {}", i == 0 ? ":" : ",", util::quote(words[i].code), util::quote(words[i].message));
    }
    return out;
}

// Registries differ in the status that comes with it.
bool misses_blobs(const HttpResponse& response, const std::vector<Word>& words) {
    if (response.status != 400 && response.status != 404) return false;
    return std::any_of(words.begin(), words.end(),
                       [](const Word& word) { return word.code == "MANIFEST_BLOB_UNKNOWN"; });
}

struct Meaning {
    std::string_view code;
    std::string hint;
};

Meaning meaning_of(int status, std::string who) {
    switch (status) {
        case 401:
            return {"registry.unauthorized", std::move(who)};
        case 403:
            return {"registry.denied", "the registry does not allow it; check the repository's name and your rights"};
        case 404:
            return {"registry.not-found", "check the name and the tag"};
        case 413:
            return {"registry.refused", "the registry or a proxy before it limits the size of uploads"};
        case 429:
            return {"registry.rate-limited", "too many requests; try again later"};
        default:
            if (status >= 500) return {"registry.server-error", "the registry has a problem; try again later"};
            return {"registry.refused", {}};
    }
}

bool is_transient(int status) {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

}  // namespace

void throw_refusal(const HttpResponse& response, const Purpose& purpose, std::string_view attempt, std::string who) {
    Meaning meaning = meaning_of(response.status, std::move(who));
    const std::vector<Word> words = registry_words(response.text);
    if (misses_blobs(response, words)) {
        meaning = {kBlobsMissing, "the registry lost what was sent to it; look at its storage, or try again"};
    }
    ErrorInfo info{.code = std::string(meaning.code),
                   .message = fmt::format("cannot {}: {} was answered with status {}{}", purpose.what, attempt,
                                          response.status, told(words)),
                   .hint = meaning.hint,
                   .where = {}};
    if (!is_transient(response.status)) {
        throw RegistryError(std::move(info), response.status, RegistryError::Retry::no);
    }
    throw TransientRefusal(std::move(info), response.status,
                           response.headers.find("Retry-After").and_then([](const std::string& value) {
                               return parse_retry_after(value);
                           }));
}

}  // namespace imgbuild::registry
