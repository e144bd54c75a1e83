#include "registry/download.hpp"

#include <imgbuild/error.hpp>

#include "registry/registry_errors.hpp"
#include "tests/support/catch.hpp"

#include <fmt/format.h>

using namespace imgbuild;
using namespace imgbuild::registry;

namespace {

using Strings = std::vector<std::string>;

struct Answer {
    int status = 200;
    std::string body;
    Headers headers;
};

/// Gives prepared answers in order and writes down what it was asked: "URL", or "URL Authorization".
class Script final : public HttpTransport {
public:
    explicit Script(std::vector<Answer> answers) : answers_(std::move(answers)) {}

    HttpResponse send(const HttpRequest& request, std::stop_token) override {
        asked.push_back(request.url + request.headers.find("Authorization")
                                          .transform([](const std::string& value) { return " " + value; })
                                          .value_or(""));
        const Answer& answer = answers_.at(asked.size() - 1);
        HttpResponse response{.status = answer.status, .headers = answer.headers, .text = {}};
        util::Sink* sink = request.on_response(response);
        if (sink != nullptr) sink->write(util::as_bytes(answer.body));
        return response;
    }

    Strings asked;

private:
    std::vector<Answer> answers_;
};

Answer redirect(std::string location) {
    Answer out{.status = 302, .body = "moved", .headers = {}};
    out.headers.add("Location", std::move(location));
    return out;
}

struct Fetched {
    std::string text;
    Downloaded got;
    Strings asked;
};

Fetched fetch(std::vector<Answer> answers,
              DownloadRequest request = {.url = "https://a.example/f", .authorization = {}, .limit = 100}) {
    Script script(std::move(answers));
    Fetched out;
    util::StringSink sink;
    out.got = download(script, {.attempts = 3, .first_delay = std::chrono::milliseconds(1)}, request,
                       [&]() -> util::Sink& {
                           sink = {};
                           return sink;
                       },
                       {});
    out.text = sink.text();
    out.asked = script.asked;
    return out;
}

std::string refusal(std::vector<Answer> answers) {
    try {
        fetch(std::move(answers));
    } catch (const Error& error) {
        return error.code();
    }
    return {};
}

}  // namespace

TEST_CASE("a download is the body of the answer, and when it was last modified") {
    Answer answer{.status = 200, .body = "text", .headers = {}};
    answer.headers.add("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    const Fetched fetched = fetch({answer});
    CHECK(fetched.text == "text");
    CHECK(fetched.got.size == 4);
    CHECK(fetched.got.last_modified == 784111777);
}

TEST_CASE("a download follows redirects, and takes credentials to no other origin") {
    const Fetched fetched =
        fetch({redirect("/g"), redirect("https://b.example/h"), {.status = 200, .body = "x", .headers = {}}},
              {.url = "https://a.example/f", .authorization = "Bearer t", .limit = 100});
    CHECK(fetched.asked ==
          Strings{"https://a.example/f Bearer t", "https://a.example/g Bearer t", "https://b.example/h"});
}

TEST_CASE("a download is tried again after a refusal that may pass, from its first byte") {
    CHECK(fetch({{.status = 503, .body = "busy", .headers = {}}, {.status = 200, .body = "x", .headers = {}}}).text ==
          "x");
    CHECK(refusal({{.status = 503}, {.status = 429}, {.status = 500}}) == "source.download");
}

TEST_CASE("a download that is refused for good is not tried again") {
    CHECK(refusal({{.status = 404}}) == "source.download");
    CHECK(refusal({{.status = 401}}) == "source.download");
    CHECK(refusal({redirect("http://a.example/f")}) == "source.download");
    CHECK(refusal(std::vector<Answer>(11, redirect("/again"))) == "source.download");
}

TEST_CASE("a download that is longer than its limit ends") {
    CHECK(refusal({{.status = 200, .body = std::string(101, 'x'), .headers = {}}}) == "source.too-large");
}

TEST_CASE("dates of HTTP are read in their one form") {
    CHECK(parse_http_date("Thu, 01 Jan 1970 00:00:01 GMT") == 1);
    const auto text =
        GENERATE(as<std::string>(), "", "yesterday", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
                 "Sun, 06 Nox 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT");
    CHECK(!parse_http_date(text));
}
