#include <imgbuild/error.hpp>
#include <imgbuild/reference.hpp>

#include "oci/reference_parts.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/oci/tables.hpp"

#include <optional>

namespace imgbuild::oci {
namespace {

using nlohmann::json;

template <class Parse>
std::optional<ReferenceParts> parsed(Parse parse, const std::string& input) {
    try {
        return parse(input);
    } catch (const UsageError& error) {
        CHECK(error.code() == "usage.bad-reference");
        return std::nullopt;
    }
}

TEST_CASE("the strict reading of names agrees with the reference implementation") {
    for (const json& row : load_cases("reference")) {
        const std::string input = row.at("input");
        INFO(input);
        const json& expected = row.at("parse");
        const auto parts = parsed(parse_reference_strictly, input);
        REQUIRE(parts.has_value() == !expected.contains("error"));
        if (!parts) continue;
        CHECK(parts->domain == expected.value("domain", ""));
        CHECK(parts->path == expected.value("path", ""));
        CHECK(parts->tag == expected.value("tag", ""));
        CHECK(parts->digest == expected.value("digest", ""));
        CHECK(parts->name() == expected.value("name", ""));
        CHECK(parts->text() == expected.value("string", ""));
    }
}

TEST_CASE("the normalised reading of names agrees with docker's") {
    for (const json& row : load_cases("reference")) {
        const std::string input = row.at("input");
        INFO(input);
        const json& expected = row.at("normalized");
        const auto parts = parsed(parse_reference_normalized, input);
        REQUIRE(parts.has_value() == !expected.contains("error"));
        if (!parts) continue;
        CHECK(parts->domain == expected.value("domain", ""));
        CHECK(parts->path == expected.value("path", ""));
        CHECK(parts->tag == expected.value("tag", ""));
        CHECK(parts->digest == expected.value("digest", ""));
        CHECK(parts->text() == expected.value("string", ""));
        CHECK(parts->familiar_name() == expected.value("familiar_name", ""));
        CHECK(parts->familiar() == expected.value("familiar", ""));
        if (expected.contains("with_default_tag"))
            CHECK(parts->text_with_default_tag() == expected["with_default_tag"]);
    }
}

TEST_CASE("a normalised name reads as itself") {
    for (const json& row : load_cases("reference")) {
        const auto parts = parsed(parse_reference_normalized, row.at("input"));
        if (!parts) continue;
        CHECK(parse_reference_normalized(parts->text()) == *parts);
    }
}

TEST_CASE("patterns match familiar names with and without the tag") {
    for (const json& row : load_cases("reference_match")) {
        INFO(row.dump());
        const ReferenceParts parts = parse_reference_normalized(row.at("reference").get<std::string>());
        CHECK(familiar_match(row.at("pattern").get<std::string>(), parts) == row.at("expected").get<bool>());
    }
}

TEST_CASE("a star in a pattern never crosses a slash") {
    const ReferenceParts parts = parse_reference_normalized("team/app:1");
    CHECK(familiar_match("*/app", parts));
    CHECK(familiar_match("t*m/*p", parts));
    CHECK(familiar_match("team/app:?", parts));
    CHECK(familiar_match("team/[^b-z]p\\p", parts));
    CHECK_FALSE(familiar_match("*", parts));
    CHECK_FALSE(familiar_match("team?app", parts));
    CHECK_FALSE(familiar_match("t*app", parts));
}

TEST_CASE("malformed patterns are refused") {
    const ReferenceParts parts = parse_reference_normalized("app");
    for (const char* pattern : {"[", "[a", "[]", "a\\", "zzz[", "[a-]"}) {
        INFO(pattern);
        CHECK_THROWS_AS(familiar_match(pattern, parts), UsageError);
    }
}

TEST_CASE("a reference without tag and digest means latest") {
    const Reference reference = Reference::parse("busybox");
    CHECK(reference.domain() == "docker.io");
    CHECK(reference.path() == "library/busybox");
    CHECK(reference.tag() == "latest");
    CHECK(reference.text() == "docker.io/library/busybox:latest");
    CHECK(reference.familiar() == "busybox:latest");
}

TEST_CASE("a reference by digest has no tag of its own") {
    const std::string digest = "sha256:" + std::string(64, 'a');
    const Reference reference = Reference::parse("127.0.0.1:5000/base@" + digest);
    CHECK(reference.tag().empty());
    CHECK(reference.digest()->text() == digest);
    CHECK(reference.text() == "127.0.0.1:5000/base@" + digest);
}

TEST_CASE("a digest of another algorithm is named as unsupported") {
    try {
        Reference::parse("app@sha512:" + std::string(128, 'b'));
        FAIL("accepted");
    } catch (const UsageError& error) {
        CHECK(error.code() == "registry.unsupported-digest");
    }
}

TEST_CASE("the message for a bad name quotes what the user wrote and says what is wrong") {
    try {
        Reference::parse("Foo");
        FAIL("accepted");
    } catch (const UsageError& error) {
        CHECK(error.message() == "'Foo' is not an image name: repository names are lower case");
    }
}

}  // namespace
}  // namespace imgbuild::oci
