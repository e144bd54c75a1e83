#include "registry/url.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

namespace imgbuild::registry {
namespace {

TEST_CASE("locations are resolved against the URL that sent them") {
    const Url base = parse_url("https://host:5000/a/b/c?x=1");
    const auto [location, expected] = GENERATE(table<std::string, std::string>({
        {"https://other/z", "https://other/z"},
        {"//other/z?q", "https://other/z?q"},
        {"/z", "https://host:5000/z"},
        {"z?y=2", "https://host:5000/a/b/z?y=2"},
        {"../z", "https://host:5000/a/z"},
        {"../../../../z", "https://host:5000/z"},
        {"./", "https://host:5000/a/b/"},
        {"?only=1", "https://host:5000/a/b/c?only=1"},
        {"", "https://host:5000/a/b/c?x=1"},
        {"/z#fragment", "https://host:5000/z"},
        {"z/a:b", "https://host:5000/a/b/z/a:b"},
    }));
    INFO(location);
    CHECK(resolve_url(base, location).text() == expected);
}

TEST_CASE("unusable URLs are refused without telling their secrets") {
    const std::string text = GENERATE("ftp://host/", "host/path", "https://", "https:///path",
                                      "https://user:secret@host/", "https://host/a b?secret", "https://host/\n?secret",
                                      "javascript:secret@x", "https://host/\x80?secret");
    INFO(text);
    try {
        parse_url(text);
        FAIL("accepted");
    } catch (const RegistryError& error) {
        CHECK(error.code() == "registry.bad-url");
        CHECK_THAT(error.message(), !Catch::Contains("secret"));
    }
}

TEST_CASE("a redacted URL keeps the names and hides the values of its query") {
    CHECK(parse_url("https://h/p?sig=secret&digest=x&flag").redacted() == "https://h/p?sig=…&digest=…&flag");
}

TEST_CASE("added query values are escaped") {
    Url url = parse_url("https://h/p?a=1");
    add_query(url, "digest", "sha256:ab&c");
    CHECK(url.text() == "https://h/p?a=1&digest=sha256%3Aab%26c");
}

TEST_CASE("loopback hosts are known by their spelling") {
    for (const char* host : {"localhost", "127.0.0.1", "127.255.0.3", "::1"}) CHECK(is_loopback(host));
    for (const char* host :
         {"127.0.0.1.example.org", "localhost.example.org", "128.0.0.1", "::2", "127.1", "127.0.0.256"}) {
        CHECK_FALSE(is_loopback(host));
    }
    CHECK(parse_url("http://[::1]:5000/").host() == "::1");
    CHECK(parse_url("http://LocalHost:5000/").host() == "localhost");
}

}  // namespace
}  // namespace imgbuild::registry
