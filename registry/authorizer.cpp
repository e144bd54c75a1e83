#include "registry/authorizer.hpp"

#include <imgbuild/error.hpp>

#include "registry/base64.hpp"
#include "util/bytes.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace imgbuild::registry {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr std::size_t kMaxTokenAnswer = 1U << 20;
// What the specification has for servers that say nothing.
constexpr seconds kDefaultLife{60};
// Tokens are given up a little earlier, so that none expires on its way.
constexpr seconds kMargin{10};
constexpr seconds kLongestLife{86400};
constexpr std::string_view kClientId = "imgbuild";

std::string scopes_key(const Purpose& purpose) {
    return fmt::format("{}", fmt::join(purpose.scopes, " "));
}

std::string basic_header(const Credentials& credentials) {
    return "Basic " + base64_encode(credentials.username + ":" + credentials.password);
}

[[noreturn]] void throw_bad_token(const Url& realm, std::string_view why) {
    throw RegistryError({.code = "registry.bad-answer",
                         .message = fmt::format("the token server {} gave no token: {}", realm.redacted(), why),
                         .hint = {},
                         .where = {}},
                        0, RegistryError::Retry::no);
}

// Anything else would let a server write headers of its own into our requests.
void check_token(const std::string& token, const Url& realm) {
    const bool fits = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7f; });
    if (token.empty()) throw_bad_token(realm, "there is none in its answer");
    if (!fits) throw_bad_token(realm, "it has characters that no token has");
}

std::string form(const std::vector<std::pair<std::string, std::string>>& fields) {
    std::string out;
    for (const auto& [name, value] : fields) {
        out += fmt::format("{}{}={}", out.empty() ? "" : "&", name, percent_encode(value));
    }
    return out;
}

std::string member(const json& answer, const char* name) {
    const auto found = answer.find(name);
    return found != answer.end() && found->is_string() ? found->get<std::string>() : std::string();
}

seconds life_of(const json& answer) {
    const auto found = answer.find("expires_in");
    if (found == answer.end() || !found->is_number()) return kDefaultLife;
    const double value = found->get<double>();
    if (!(value > 0)) return kDefaultLife;
    return seconds(static_cast<std::int64_t>(std::min(value, static_cast<double>(kLongestLife.count()))));
}

}  // namespace

Authorizer::Registry& Authorizer::registry(const std::string& domain) {
    const std::lock_guard lock(mutex_);
    auto& slot = registries_[domain];
    if (!slot) slot = std::make_unique<Registry>();
    return *slot;
}

const std::optional<Credentials>& Authorizer::credentials(Registry& known, const Purpose& purpose,
                                                          const std::stop_token& stop) {
    const auto found = known.credentials.find(purpose.path);
    if (found != known.credentials.end()) return found->second;
    auto fresh = credentials_ ? credentials_(purpose.registry, purpose.path, stop) : std::nullopt;
    return known.credentials.emplace(purpose.path, std::move(fresh)).first->second;
}

std::string Authorizer::header_locked(Registry& known, const Purpose& purpose, const std::stop_token& stop) {
    if (!known.challenge) return {};
    if (known.challenge->scheme == "basic") {
        const auto& who = credentials(known, purpose, stop);
        return who && !who->username.empty() ? basic_header(*who) : std::string();
    }
    const auto token = known.tokens.find(scopes_key(purpose));
    if (token == known.tokens.end() || token->second.expires <= steady_clock::now()) return {};
    return "Bearer " + token->second.value;
}

std::string Authorizer::header(const Purpose& purpose) {
    Registry& known = registry(purpose.registry);
    const std::lock_guard lock(known.mutex);
    return header_locked(known, purpose, {});
}

bool Authorizer::learn(const Purpose& purpose, const Url& asked, const HttpResponse& refusal, const std::string& used,
                       std::stop_token stop) {
    const std::vector<std::string> headers = refusal.headers.find_all("WWW-Authenticate");
    auto challenge = choose_challenge(headers);
    if (!challenge) return false;
    Registry& known = registry(purpose.registry);
    const std::lock_guard lock(known.mutex);
    known.challenge = std::move(challenge);
    // Somebody else may have got a new token while we waited for the lock.
    if (const std::string now = header_locked(known, purpose, stop); !now.empty() && now != used) return true;
    if (known.challenge->scheme != "bearer") return false;
    known.tokens.insert_or_assign(scopes_key(purpose), fetch_token(known, purpose, asked, std::move(stop)));
    return true;
}

Authorizer::Token Authorizer::fetch_token(Registry& known, const Purpose& purpose, const Url& asked,
                                          std::stop_token stop) {
    const auto& who = credentials(known, purpose, stop);
    Url realm = follow_(asked, known.challenge->parameter("realm"));
    if (who && !who->registry_token.empty()) {
        check_token(who->registry_token, realm);
        return {.value = who->registry_token, .expires = steady_clock::now() + kLongestLife};
    }
    const std::string service = known.challenge->parameter("service");
    Purpose why = purpose;
    why.what = fmt::format("get a token to {}", purpose.what);
    HttpRequest request;
    request.text_limit = kMaxTokenAnswer;
    std::string body;
    std::optional<util::MemorySource> content;
    if (who && !who->identity_token.empty()) {
        body = form({{"grant_type", "refresh_token"},
                     {"service", service},
                     {"client_id", std::string(kClientId)},
                     {"scope", scopes_key(purpose)},
                     {"refresh_token", who->identity_token}});
        request.method = "POST";
        request.headers.add("Content-Type", "application/x-www-form-urlencoded");
        request.body = &content.emplace(body);
        request.body_size = body.size();
    } else {
        if (!service.empty()) add_query(realm, "service", service);
        for (const std::string& scope : purpose.scopes) add_query(realm, "scope", scope);
        if (who && !who->username.empty()) request.headers.add("Authorization", basic_header(*who));
    }
    request.url = realm.text();
    const HttpResponse response = send_(std::move(request), why, std::move(stop));
    const json answer = json::parse(response.text, nullptr, false);
    if (!answer.is_object()) throw_bad_token(realm, "its answer is no JSON object");
    Token out{.value = member(answer, "token"), .expires = {}};
    if (out.value.empty()) out.value = member(answer, "access_token");
    check_token(out.value, realm);
    const seconds life = life_of(answer);
    out.expires = steady_clock::now() + std::max(life - kMargin, life / 2);
    return out;
}

std::string Authorizer::hint(const Purpose& purpose) {
    Registry& known = registry(purpose.registry);
    const std::lock_guard lock(known.mutex);
    const auto who = known.credentials.find(purpose.path);
    if (who != known.credentials.end() && who->second) {
        return fmt::format("check the credentials in {} and what they allow, or `imgbuild login {}` anew",
                           who->second->found_in, purpose.registry);
    }
    return fmt::format("no credentials for {} were found; `imgbuild login {}` asks for them", purpose.registry,
                       purpose.registry);
}

}  // namespace imgbuild::registry
