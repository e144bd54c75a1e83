#include "registry/authorizer.hpp"

#include "registry/base64.hpp"
#include "registry/client.hpp"
#include "registry/memory_registry.hpp"
#include "registry/repository.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/registry/sample_image.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <set>

namespace imgbuild::registry {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kTags{"1"};

// A registry behind a doorman, and the doorman's token server. Keeps who was shown what.
class GuardedRegistry final : public HttpTransport {
public:
    enum class Kind { basic, bearer };
    explicit GuardedRegistry(Kind kind) : kind_(kind) {}

    static constexpr const char* kHome = "http://127.0.0.1:5000";
    std::string realm = "http://127.0.0.1:5001/token";
    std::string user = "user", password = "secret";
    bool anonymous = false;
    int expires_in = 300;
    std::string refresh_token;
    MemoryRegistry inner{kHome};

    HttpResponse send(const HttpRequest& request, std::stop_token stop) override {
        const Url url = parse_url(request.url);
        const std::string authorization = request.headers.find("Authorization").value_or("");
        {
            const std::lock_guard lock(mutex_);
            if (!authorization.empty()) shown_.insert(url.origin());
            if (url.origin() != kHome && realm.starts_with(url.origin()))
                return answer_token(request, url, authorization);
            if (url.origin() == kHome && !allowed(authorization)) return refuse();
        }
        return inner.send(request, std::move(stop));
    }

    std::set<std::string> shown() const { return shown_; }
    std::vector<std::string> asked_scopes() const { return scopes_; }
    void revoke() { valid_.clear(); }

private:
    bool allowed(const std::string& authorization) const {
        if (kind_ == Kind::basic) return authorization == "Basic " + base64_encode(user + ":" + password);
        return authorization.starts_with("Bearer ") && valid_.contains(authorization.substr(7));
    }

    HttpResponse refuse() const {
        HttpResponse out{.status = 401, .headers = {}, .text = {}};
        out.headers.add("Www-Authenticate", kind_ == Kind::basic
                                                ? std::string("Basic realm=\"x\"")
                                                : fmt::format("Bearer realm=\"{}\",service=\"reg\"", realm));
        return out;
    }

    HttpResponse answer_token(const HttpRequest& request, const Url& url, const std::string& authorization) {
        scopes_.push_back(url.query);
        bool known = authorization == "Basic " + base64_encode(user + ":" + password);
        if (request.body != nullptr) {
            const std::string body = util::read_all(*request.body, 10000, "form");
            known = !refresh_token.empty() && body.find("refresh_token=" + refresh_token) != std::string::npos;
            scopes_.back() = body;
        }
        if (!known && !(anonymous && authorization.empty())) return {.status = 401, .headers = {}, .text = "{}"};
        const std::string token = fmt::format("token-{}", ++tokens_);
        valid_.insert(token);
        return {.status = 200,
                .headers = {},
                .text = fmt::format(R"({{"token":"{}","expires_in":{}}})", token, expires_in)};
    }

    Kind kind_;
    std::mutex mutex_;
    std::set<std::string> valid_;
    std::set<std::string> shown_;
    std::vector<std::string> scopes_;
    int tokens_ = 0;
};

struct Guarded {
    GuardedRegistry registry;
    std::optional<Credentials> credentials = Credentials{
        .username = "user", .password = "secret", .identity_token = {}, .registry_token = {}, .found_in = "'f'"};
    RegistryClient client{registry,
                          {.plain_http = {},
                           .retry = {.first_delay = 1ms, .longest = 2ms},
                           .credentials = [this](const auto&, const auto&, const auto&) { return credentials; }}};
    Repository repository{client, Reference::parse("127.0.0.1:5000/team/app:1")};
    SampleImage image;

    explicit Guarded(GuardedRegistry::Kind kind) : registry(kind) {}
    std::string fetch() {
        util::StringSink out;
        repository.fetch(image.layer_descriptor(), out, {});
        return out.take();
    }
    RegistryError refusal() {
        try {
            image.push_to(repository, kTags);
        } catch (const RegistryError& error) {
            return error;
        }
        FAIL("nothing was thrown");
        throw std::logic_error("unreachable");
    }
};

TEST_CASE("a registry that wants basic credentials gets them") {
    Guarded t(GuardedRegistry::Kind::basic);
    t.image.push_to(t.repository, kTags);
    CHECK(t.fetch() == t.image.layer);
}

TEST_CASE("a token is fetched once per scope and used for everything of it") {
    Guarded t(GuardedRegistry::Kind::bearer);
    t.image.push_to(t.repository, kTags);
    CHECK(t.fetch() == t.image.layer);
    CHECK(t.fetch() == t.image.layer);
    const auto scopes = t.registry.asked_scopes();
    REQUIRE(scopes.size() == 2);
    CHECK(scopes[0] == "service=reg&scope=repository%3Ateam%2Fapp%3Apull%2Cpush");
    CHECK(scopes[1] == "service=reg&scope=repository%3Ateam%2Fapp%3Apull");
}

TEST_CASE("a mount asks for the other repository as well") {
    Guarded t(GuardedRegistry::Kind::bearer);
    t.image.push_to(t.repository, kTags);
    Repository target(t.client, Reference::parse("127.0.0.1:5000/team/new"), {"team/app"});
    target.put(t.image.layer_descriptor(), oci::open_text(t.image.layer), {});
    CHECK(t.registry.asked_scopes().back() ==
          "service=reg&scope=repository%3Ateam%2Fapp%3Apull&scope=repository%3Ateam%2Fnew%3Apull%2Cpush");
}

TEST_CASE("a token that is no longer accepted is replaced, also when a body was on its way") {
    Guarded t(GuardedRegistry::Kind::bearer);
    t.image.push_to(t.repository, kTags);
    t.registry.revoke();
    CHECK(t.fetch() == t.image.layer);
    t.registry.revoke();
    const SampleImage other("another layer");
    const auto opened_late = [&]() -> std::unique_ptr<util::Source> {
        // The upload has begun; now the token goes.
        t.registry.revoke();
        return oci::open_text(other.layer)();
    };
    int opened = 0;
    t.repository.put(other.layer_descriptor(),
                     [&] { return ++opened == 1 ? opened_late() : oci::open_text(other.layer)(); }, {});
    CHECK(opened == 2);
    CHECK(t.registry.inner.blob("team/app", other.layer_descriptor().digest) == other.layer);
}

TEST_CASE("a token that is about to expire is not used") {
    Guarded t(GuardedRegistry::Kind::bearer);
    t.registry.expires_in = 0;  // counts as not said: a minute
    t.image.push_to(t.repository, kTags);
    CHECK(t.registry.asked_scopes().size() == 1);
}

TEST_CASE("an anonymous token is enough where a registry gives them") {
    Guarded t(GuardedRegistry::Kind::bearer);
    t.credentials.reset();
    t.registry.anonymous = true;
    t.image.push_to(t.repository, kTags);
    CHECK(t.fetch() == t.image.layer);
}

TEST_CASE("an identity token is sent in a body and never in a URL") {
    Guarded t(GuardedRegistry::Kind::bearer);
    t.credentials = Credentials{
        .username = {}, .password = {}, .identity_token = "refresh-me", .registry_token = {}, .found_in = "'f'"};
    t.registry.refresh_token = "refresh-me";
    t.image.push_to(t.repository, kTags);
    CHECK(t.registry.asked_scopes().front() ==
          "grant_type=refresh_token&service=reg&client_id=imgbuild&scope=repository%3Ateam%2Fapp%3Apull%2Cpush&"
          "refresh_token=refresh-me");
}

TEST_CASE("a registry token is sent as it is") {
    Guarded t(GuardedRegistry::Kind::bearer);
    t.credentials = Credentials{
        .username = {}, .password = {}, .identity_token = {}, .registry_token = "token-1", .found_in = "'f'"};
    CHECK(t.refusal().code() == "registry.unauthorized");
    CHECK(t.registry.asked_scopes().empty());
}

TEST_CASE("refused credentials are told by where they came from, and not themselves") {
    Guarded t(GENERATE(GuardedRegistry::Kind::basic, GuardedRegistry::Kind::bearer));
    t.registry.password = "changed";
    const RegistryError error = t.refusal();
    CHECK(error.code() == "registry.unauthorized");
    const std::string told = std::string(error.what()) + error.hint();
    CHECK(told.find("secret") == std::string::npos);
    CHECK(told.find(base64_encode("user:secret")) == std::string::npos);
}

TEST_CASE("who has no credentials is told how to get some") {
    Guarded t(GuardedRegistry::Kind::basic);
    t.credentials.reset();
    const RegistryError error = t.refusal();
    CHECK(error.code() == "registry.unauthorized");
    CHECK(error.hint().find("imgbuild login 127.0.0.1:5000") != std::string::npos);
}

TEST_CASE("credentials do not go to a token server without TLS elsewhere") {
    Guarded t(GuardedRegistry::Kind::bearer);
    t.registry.realm = "http://tokens.example/token";
    CHECK(t.refusal().code() == "registry.insecure-redirect");
    CHECK(t.registry.shown().empty());
}

TEST_CASE("credentials do not go to where blobs are") {
    Guarded t(GENERATE(GuardedRegistry::Kind::basic, GuardedRegistry::Kind::bearer));
    t.image.push_to(t.repository, kTags);
    t.registry.inner.misbehave({.blob_origin = "https://cdn.example"});
    CHECK(t.fetch() == t.image.layer);
    CHECK_FALSE(t.registry.shown().contains("https://cdn.example"));
    CHECK(t.registry.inner.last_headers().find("Authorization") == std::nullopt);
}

TEST_CASE("a token with a line break is refused") {
    class Liar final : public HttpTransport {
    public:
        HttpResponse send(const HttpRequest& request, std::stop_token) override {
            if (request.url.find("token") != std::string::npos) {
                return {.status = 200, .headers = {}, .text = R"({"token":"a\r\nX-Evil: 1"})"};
            }
            HttpResponse out{.status = 401, .headers = {}, .text = {}};
            out.headers.add("WWW-Authenticate", "Bearer realm=\"/token\"");
            return out;
        }
    } liar;
    RegistryClient client(liar, {.plain_http = {}, .retry = {.attempts = 1}, .credentials = {}});
    try {
        client.check_access("127.0.0.1:5000", {});
        FAIL("nothing was thrown");
    } catch (const RegistryError& error) {
        CHECK(error.code() == "registry.bad-answer");
    }
}

}  // namespace
}  // namespace imgbuild::registry
