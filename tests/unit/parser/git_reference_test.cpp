#include "parser/git_reference.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

using imgbuild::Error;
using namespace imgbuild::parser;

namespace {

GitReference parsed(std::string_view text) {
    const std::optional<GitReference> reference = parse_git_reference(text);
    REQUIRE(reference);
    return *reference;
}

std::string problem_of(std::string_view text) {
    try {
        parse_git_reference(text);
    } catch (const Error& error) {
        CHECK(error.code() == "parse.bad-git-reference");
        return error.message();
    }
    return {};
}

}  // namespace

TEST_CASE("a repository is a URL that ends in .git, a URL of ssh or git, or what scp takes") {
    const auto [text, remote, short_name] = GENERATE(table<std::string, std::string, std::string>({
        {"https://example.com/a/foo.git", "https://example.com/a/foo.git", "foo"},
        {"HTTPS://me:secret@example.com:8443/foo.git", "https://me:secret@example.com:8443/foo.git", "foo"},
        {"ssh://git@example.com/foo", "ssh://git@example.com/foo", "foo"},
        {"git://example.com/foo", "git://example.com/foo", "foo"},
        {"git@example.com:a/foo.git", "git@example.com:a/foo.git", "foo"},
        {"github.com/a/foo", "github.com/a/foo", "foo"},
        {"https://[::1]:80/foo.git", "https://[::1]:80/foo.git", "foo"},
        {"https://example.com/a b.git", "https://example.com/a%20b.git", "a%20b"},
    }));
    const GitReference reference = parsed(text);
    CHECK(reference.remote == remote);
    CHECK(reference.short_name == short_name);
    CHECK(reference.looks_local == text.starts_with("github.com/"));
    CHECK(reference.unencrypted == text.starts_with("git://"));
}

TEST_CASE("other names are no repositories") {
    for (const std::string_view text :
         {"", ".git", "./x.git", "../x.git", "dir/foo.git", "https://example.com/foo", "https://example.com/foo.git/",
          "https://example.com/foo.git:#branch", "ftp://example.com/foo.git", "docker-image://alpine",
          "https://example.com:port/foo.git", "https://exa mple.com/foo.git", "https://example.com/%zz.git",
          "git@exa/mple:foo", "@example.com:foo", "https://example.com/a\n.git", "git@example.com:foo?ref=%zz"}) {
        CHECK_FALSE(parse_git_reference(text));
    }
}

TEST_CASE("what stands behind a hash is the ref and the directory, which cannot leave the repository") {
    const auto [fragment, ref, subdirectory] = GENERATE(table<std::string, std::string, std::string>({
        {"#main", "main", ""},
        {"#feature/x:a/b", "feature/x", "a/b"},
        {"#:a", "", "a"},
        {"#v1:../../etc", "v1", "etc"},
        {"#v1:/", "v1", ""},
        {"#a%20b", "a b", ""},
    }));
    const GitReference reference = parsed("https://example.com/foo.git" + fragment);
    CHECK(reference.ref == ref);
    CHECK(reference.subdirectory == subdirectory);
}

TEST_CASE("options of a repository stand in the query") {
    const GitReference reference = parsed(
        "https://example.com/foo.git?tag=v1&subdir=a&commit=0123&keep-git-dir&submodules=false&mtime=commit&"
        "fetch-by-commit=1");
    CHECK(reference.ref == "refs/tags/v1");
    CHECK(reference.subdirectory == "a");
    CHECK(reference.checksum == "0123");
    CHECK(reference.keep_git_dir == true);
    CHECK(reference.submodules == false);
    CHECK(reference.mtime == "commit");
    CHECK(reference.fetch_by_commit);
    CHECK(parsed("git@example.com:foo.git?branch=b").ref == "refs/heads/b");
    CHECK(parsed("https://example.com/foo.git?ref=v1#v1").ref == "v1");
}

TEST_CASE("options of a repository that contradict each other or mean nothing are refused") {
    const auto [query, message] = GENERATE(table<std::string, std::string>({
        {"?ref=a#b", "ref conflicts: 'b' vs 'a'"},
        {"?ref=a&tag=b", "ref conflicts: 'a' vs 'refs/tags/b'"},
        {"?tag=a&branch=b", "branch conflicts with tag"},
        {"?subdir=a#x:b", "subdir conflicts: 'b' vs 'a'"},
        {"?ref=", "query 'ref' has no value"},
        {"?ref=a&ref=b", "query 'ref' has multiple values"},
        {"?mtime=now", "invalid mtime value: 'now'"},
        {"?submodules=maybe", "invalid submodules value: 'maybe'"},
        {"?depth=1", "unexpected query \"depth\""},
    }));
    CHECK(problem_of("https://example.com/foo.git" + query) == message);
}
