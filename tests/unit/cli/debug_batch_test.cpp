#include "cli/debug_batch.hpp"

#include "tests/support/catch.hpp"

#include <nlohmann/json.hpp>

#include <sstream>

namespace imgbuild::cli {
namespace {

using nlohmann::json;

std::vector<json> answers_to(const std::string& requests) {
    std::istringstream in(requests);
    std::ostringstream out;
    CHECK(run_debug_batch(in, out) == 0);
    std::vector<json> answers;
    std::istringstream lines(out.str());
    for (std::string line; std::getline(lines, line);) answers.push_back(json::parse(line));
    return answers;
}

json answer_to(const json& request) {
    const auto answers = answers_to(request.dump() + "\n");
    REQUIRE(answers.size() == 1);
    return answers.front();
}

TEST_CASE("each request is answered by a line with its id") {
    const auto answers = answers_to(
        "{\"id\": 1, \"op\": \"word\", \"text\": \"$A\", \"envs\": {\"A\": \"b\"}}\n"
        "{\"id\": \"two\", \"op\": \"json\", \"text\": \"[]\"}\n");
    REQUIRE(answers.size() == 2);
    CHECK(answers[0].at("id") == 1);
    CHECK(answers[0].at("result") == "b");
    CHECK(answers[1].at("id") == "two");
}

TEST_CASE("a malformed request is answered with an error and ends nothing") {
    const auto answers = answers_to(
        "nonsense\n[]\n\n{\"id\": 3}\n{\"id\": 4, \"op\": \"none\"}\n{\"id\": 5, \"op\": \"ref\"}\n"
        "{\"id\": 6, \"op\": \"platform\", \"b64\": \"*\"}\n{\"id\": 7, \"op\": \"json\", \"text\": "
        "\"[\\\"a\\\"]\"}\n");
    REQUIRE(answers.size() == 8);
    for (std::size_t i = 0; i < 7; ++i) CHECK(answers[i].contains("error"));
    CHECK(answers[7].at("expect") == json::array({"a"}));
}

TEST_CASE("a name has a strict and a normalised reading, and each can fail alone") {
    const json both = answer_to({{"op", "ref"}, {"text", "a/b:c"}});
    CHECK(both.at("parse").at("domain") == "a");
    CHECK(both.at("parse").at("path") == "b");
    CHECK(both.at("normalized").at("string") == "docker.io/a/b:c");
    CHECK(both.at("normalized").at("familiar") == "a/b:c");
    CHECK(both.at("normalized").at("with_default_tag") == "docker.io/a/b:c");
    const json strict = answer_to({{"op", "ref"}, {"text", std::string(64, 'a')}});
    CHECK(strict.at("parse").at("path") == std::string(64, 'a'));
    CHECK(strict.at("normalized").contains("error"));
}

TEST_CASE("a platform is shown as written and normalised") {
    const json answer = answer_to({{"op", "platform"}, {"text", "windows(10.0+win32k)/amd64"}});
    CHECK(answer.at("platform").at("os.version") == "10.0");
    CHECK(answer.at("platform").at("os.features") == json::array({"win32k"}));
    CHECK(answer.at("format") == "windows/amd64");
    CHECK(answer.at("format_all") == "windows(10.0+win32k)/amd64");
    CHECK(answer_to({{"op", "platform"}, {"text", "linux/arm"}}).at("normalized") == "linux/arm/v7");
    CHECK(answer_to({{"op", "platform"}, {"text", "a/b/c/d"}}).contains("error"));
}

}  // namespace
}  // namespace imgbuild::cli
