#include "registry/auth_file.hpp"
#include "registry/base64.hpp"
#include "registry/credential_helper.hpp"
#include "registry/credential_search.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "util/defer.hpp"
#include "util/files.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <cstdlib>
#include <filesystem>
#include <map>

namespace imgbuild::registry {
namespace {

std::string entry(const std::string& user, const std::string& password) {
    return fmt::format(R"({{"auth":"{}"}})", base64_encode(user + ":" + password));
}

RegistryError refusal(const std::function<void()>& action) {
    try {
        action();
    } catch (const RegistryError& error) {
        return error;
    }
    FAIL("nothing was thrown");
    throw std::logic_error("unreachable");
}

// A home with files, an environment, and helpers in a directory that is on the PATH.
struct Home {
    util::TempDir directory{std::filesystem::temp_directory_path().string(), "imgbuild-home-"};
    std::map<std::string, std::string> variables{{"HOME", directory.path()}};
    std::string old_path = std::getenv("PATH");
    util::Defer<std::function<void()>> restore{[this] { ::setenv("PATH", old_path.c_str(), 1); }};

    std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
        const std::string path = directory.path() + "/" + name;
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        util::AtomicFile file(path, mode);
        file.write(text);
        file.commit();
        ::chmod(path.c_str(), mode);
        return path;
    }
    void helper(const std::string& name, const std::string& body) const {
        write("bin/docker-credential-" + name, "#!/bin/sh\n" + body, 0755);
        ::setenv("PATH", (directory.path() + "/bin:" + old_path).c_str(), 1);
    }
    std::optional<Credentials> find(const std::string& domain, const std::string& path = "team/app",
                                    const std::string& auth_file = "") const {
        CredentialSearch search(
            [this](const char* name) {
                const auto found = variables.find(name);
                return found == variables.end() ? std::nullopt : std::optional(found->second);
            },
            auth_file);
        return search.find(domain, path, {});
    }
    std::string user(const std::string& domain, const std::string& path = "team/app") const {
        const auto found = find(domain, path);
        return found ? found->username : "nobody";
    }
};

TEST_CASE("keys are hosts, however docker has written them") {
    const auto [key, normal] = GENERATE(table<std::string, std::string>({{"https://index.docker.io/v1/", "docker.io"},
                                                                         {"index.docker.io", "docker.io"},
                                                                         {"docker.io", "docker.io"},
                                                                         {"registry-1.docker.io", "docker.io"},
                                                                         {"https://ghcr.io", "ghcr.io"},
                                                                         {"http://host:5000/v2/", "host:5000"},
                                                                         {"https://host/some/path", "host"},
                                                                         {"quay.io/team/app", "quay.io/team/app"},
                                                                         {"Quay.IO/team/", "quay.io/team"}}));
    CHECK(normal_auth_key(key) == normal);
}

TEST_CASE("the longest key that fits counts") {
    Home home;
    home.write(".docker/config.json",
               fmt::format(R"({{"auths":{{"quay.io":{},"quay.io/team":{},"quay.io/team/app":{}}}}})", entry("all", "1"),
                           entry("team", "2"), entry("app", "3")));
    CHECK(home.user("quay.io", "team/app") == "app");
    CHECK(home.user("quay.io", "team/application") == "team");
    CHECK(home.user("quay.io", "teams/app") == "all");
    CHECK(home.user("quay.io", "") == "all");
    CHECK(home.user("quay.io:443", "team/app") == "nobody");
}

TEST_CASE("user and password come from auth, or stand in the clear") {
    const AuthFile file = parse_auth_file(R"({"auths":{"a.example":{"auth":"dTpwOncA"},
        "b.example":{"username":"u","password":"p"},"c.example":{"identitytoken":"t"},"d.example":{}}})",
                                          "'f'");
    CHECK(file.auths.at("a.example").username == "u");
    CHECK(file.auths.at("a.example").password == "p:w");
    CHECK(file.auths.at("b.example").password == "p");
    CHECK(file.auths.at("c.example").identity_token == "t");
    CHECK_FALSE(file.auths.contains("d.example"));
}

TEST_CASE("Docker Hub is found under docker's name for it") {
    Home home;
    home.write(".docker/config.json",
               fmt::format(R"({{"auths":{{"https://index.docker.io/v1/":{}}}}})", entry("hub", "1")));
    CHECK(home.user("docker.io", "library/busybox") == "hub");
}

TEST_CASE("of several keys for one registry the one that docker writes counts") {
    Home home;
    home.write(".docker/config.json",
               fmt::format(R"({{"auths":{{"https://index.docker.io/v1/":{},"https://index.docker.io/v1/access-token":{},
                           "https://index.docker.io/v1/refresh-token":{},"ghcr.io":{},"https://ghcr.io":{}}}}})",
                           entry("hub", "1"), entry("access", "2"), entry("refresh", "3"), entry("exact", "4"),
                           entry("stale", "5")));
    CHECK(home.user("docker.io") == "hub");
    CHECK(home.user("ghcr.io") == "exact");
}

TEST_CASE("an empty file has no entries, and an empty helper means the file") {
    Home home;
    home.write(".docker/config.json", "");
    CHECK(home.user("a.example") == "nobody");
    home.write(".docker/config.json",
               fmt::format(R"({{"auths":{{"a.example":{}}},"credHelpers":{{"a.example":""}},"credsStore":"missing"}})",
                           entry("own", "1")));
    CHECK(home.user("a.example") == "own");
}

TEST_CASE("a bad file is told without its content") {
    const std::string text =
        GENERATE("{\"auths\": hunter2", "[\"hunter2\"]", R"({"auths":{"a.example":{"auth":"hunter2!"}}})",
                 R"({"auths":{"a.example":{"auth":"aHVudGVyMg=="}}})", R"({"auths":{"a.example":"hunter2"}})",
                 R"({"auths":"hunter2"})", R"({"credsStore":"../x","auths":{}})", R"({"credHelpers":{"a":"x y"}})");
    const auto error = refusal([&] { parse_auth_file(text, "'/home/me/config.json'"); });
    CHECK(error.code() == "registry.bad-auth-file");
    CHECK(std::string(error.what()).find("hunter2") == std::string::npos);
    CHECK(std::string(error.what()).find("/home/me/config.json") != std::string::npos);
}

TEST_CASE("places are searched in their order") {
    Home home;
    const auto file_of = [](const std::string& user) {
        return fmt::format(R"({{"auths":{{"a.example":{}}}}})", entry(user, "x"));
    };
    CHECK(home.user("a.example") == "nobody");
    home.write(".dockercfg", fmt::format(R"({{"a.example":{}}})", entry("old", "x")));
    CHECK(home.user("a.example") == "old");
    home.write(".config/containers/auth.json", file_of("containers"));
    CHECK(home.user("a.example") == "containers");
    home.variables["XDG_RUNTIME_DIR"] = home.directory.path() + "/run";
    home.write("run/containers/auth.json", file_of("runtime"));
    CHECK(home.user("a.example") == "runtime");
    home.write(".docker/config.json", file_of("docker"));
    CHECK(home.user("a.example") == "docker");
    home.variables["DOCKER_CONFIG"] = home.directory.path() + "/elsewhere";
    home.write("elsewhere/config.json", file_of("elsewhere"));
    CHECK(home.user("a.example") == "elsewhere");
    home.variables["DOCKER_AUTH_CONFIG"] = file_of("variable");
    CHECK(home.user("a.example") == "variable");
    home.variables["REGISTRY_AUTH_FILE"] = home.write("named.json", file_of("named"));
    CHECK(home.user("a.example") == "named");
    CHECK(home.find("a.example", "", home.write("option.json", file_of("option")))->username == "option");
}

TEST_CASE("a file that was named must be there, and is the only one") {
    Home home;
    home.write(".docker/config.json", fmt::format(R"({{"auths":{{"a.example":{}}}}})", entry("docker", "x")));
    home.variables["REGISTRY_AUTH_FILE"] = home.write("named.json", "{}");
    CHECK(home.user("a.example") == "nobody");
    CHECK(refusal([&] { home.find("a.example", "", "/nonexistent.json"); }).code() == "registry.bad-auth-file");
}

TEST_CASE("helpers are asked for their key, credsStore for the registry, and auths come last") {
    Home home;
    home.write(".docker/config.json", fmt::format(R"({{"auths":{{"a.example":{},"b.example":{}}},"credsStore":"store",
                             "credHelpers":{{"b.example":"special"}}}})",
                                                  entry("file-a", "x"), entry("file-b", "x")));
    home.helper("store", R"(read server; [ "$1" = get ] || exit 9
        case $server in
            c.example|https://index.docker.io/v1/) echo "{\"ServerURL\":\"$server\",\"Username\":\"kept\",\"Secret\":\"s\"}" ;;
            d.example) echo '{"Username":"<token>","Secret":"refresh"}' ;;
            *) echo "credentials not found in native keychain"; exit 1 ;;
        esac)");
    home.helper("special", R"(read server; echo "{\"Username\":\"helped-$server\",\"Secret\":\"s\"}")");
    CHECK(home.user("a.example") == "file-a");
    CHECK(home.user("b.example") == "helped-b.example");
    CHECK(home.user("c.example") == "kept");
    CHECK(home.user("docker.io") == "kept");
    CHECK(home.find("d.example")->identity_token == "refresh");
    CHECK(home.user("e.example") == "nobody");
}

TEST_CASE("a helper that fails is named, and what it printed is not told") {
    Home home;
    const std::string body = GENERATE("echo hunter2; exit 3", "echo hunter2", "echo '{\"Username\":\"u\"}'",
                                      "kill -9 $$", "echo hunter2 >&2; exit 1");
    home.helper("broken", body + "\n");
    const auto error = refusal([&] { ask_credential_helper("broken", "a.example", {}); });
    CHECK(error.code() == "registry.credential-helper");
    CHECK(std::string(error.what()).find("docker-credential-broken") != std::string::npos);
    CHECK((std::string(error.what()) + error.hint()).find("hunter2") == std::string::npos);
}

TEST_CASE("a helper that is not installed is told with a way out") {
    const auto error = refusal([] { ask_credential_helper("no-such-helper", "a.example", {}); });
    CHECK(error.code() == "registry.credential-helper");
    CHECK(error.hint().find("docker-credential-no-such-helper") != std::string::npos);
}

TEST_CASE("a helper that hangs is ended with the build") {
    Home home;
    home.helper("slow", "exec sleep 600\n");
    std::stop_source stop;
    stop.request_stop();
    CHECK_THROWS_AS(ask_credential_helper("slow", "a.example", stop.get_token()), Cancelled);
}

TEST_CASE("secrets reach a helper by its input only") {
    Home home;
    home.helper("keep", "cat > " + home.directory.path() + "/got; echo \"$@\" > " + home.directory.path() + "/args\n");
    store_in_credential_helper(
        "keep", "a.example",
        {.username = "u", .password = "hunter2", .identity_token = {}, .registry_token = {}, .found_in = {}}, {});
    CHECK(util::read_file(home.directory.path() + "/args", 100) == "store\n");
    CHECK(util::read_file(home.directory.path() + "/got", 1000).find("hunter2") != std::string::npos);
    erase_from_credential_helper("keep", "a.example", {});
    CHECK(util::read_file(home.directory.path() + "/args", 100) == "erase\n");
    CHECK(util::read_file(home.directory.path() + "/got", 1000) == "a.example");
}

}  // namespace
}  // namespace imgbuild::registry
