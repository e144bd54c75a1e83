#include "oci/image_config.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

namespace imgbuild::oci {
namespace {

constexpr std::string_view kMinimal =
    R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}})";

std::string with_config(const std::string& config) {
    return R"({"architecture":"amd64","config":)" + config +
           R"(,"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}})";
}

TEST_CASE("a config is printed with sorted members, no white space and no empty members") {
    CHECK(parse_image_config(kMinimal).to_json() == with_config("{}"));
}

TEST_CASE("everything that docker knows survives reading and printing") {
    const std::string text =
        R"({"architecture":"arm","author":"me","config":{"ArgsEscaped":true,"Cmd":["a","b"],"Entrypoint":["/e"],)"
        R"("Env":["A=1","B="],"ExposedPorts":{"80/tcp":{}},"Healthcheck":{"Interval":30000000000,"Retries":3,)"
        R"("StartInterval":1,"StartPeriod":2,"Test":["CMD-SHELL","true"],"Timeout":4},"Labels":{"l":"v"},)"
        R"("OnBuild":["RUN x"],"Shell":["/bin/bash","-c"],"StopSignal":"SIGINT","User":"u:g","Volumes":{"/v":{}},)"
        R"("WorkingDir":"/w"},"created":"2015-10-31T22:22:56.015925234Z","history":[{"author":"h","comment":"c",)"
        R"("created":"2015-10-31T22:22:54Z","created_by":"RUN","empty_layer":true},{}],"os":"linux","os.features":["f"],)"
        R"("os.version":"1","rootfs":{"diff_ids":["sha256:)" +
        std::string(64, 'd') + R"("],"type":"layers"},"variant":"v6"})";
    const ImageConfig config = parse_image_config(text);
    CHECK(config.to_json() == text);
    CHECK(config.config.healthcheck->interval == 30'000'000'000);
    CHECK(config.history.size() == 2);
    CHECK(config.created->nanoseconds == 15925234);
    CHECK(parse_image_config(config.to_json()) == config);
}

TEST_CASE("unknown members of a base image are carried through") {
    const std::string text =
        R"({"architecture":"amd64","config":{"Healthcheck":{"New":[1]},"Hostname":"h","OnDemand":null},)"
        R"("docker_version":"1.12","future":{"a":[1,2.5,"x"]},"history":[{"x":1}],"os":"linux",)"
        R"("rootfs":{"diff_ids":[],"type":"layers"}})";
    CHECK(parse_image_config(text).to_json() == text);
}

TEST_CASE("an absent and an empty command stay different") {
    CHECK_FALSE(parse_image_config(with_config(R"({"Cmd":null})")).config.cmd);
    CHECK(parse_image_config(with_config(R"({"Cmd":[]})")).config.cmd->empty());
    CHECK(parse_image_config(with_config(R"({"Cmd":[]})")).to_json() == with_config(R"({"Cmd":[]})"));
}

TEST_CASE("bytes that are not UTF-8 do not break the config") {
    ImageConfig config = parse_image_config(kMinimal);
    config.config.env = {"A=\xff"};
    CHECK(config.to_json() == with_config("{\"Env\":[\"A=\xef\xbf\xbd\"]}"));
}

TEST_CASE("the platform is normalised") {
    const ImageConfig config = parse_image_config(
        R"({"architecture":"aarch64","os":"linux","variant":"v8","rootfs":{"type":"layers","diff_ids":null}})");
    CHECK(config.platform.text() == "linux/arm64");
}

TEST_CASE("hostile configs are refused with the member's name") {
    const auto [text, part] = GENERATE(table<std::string, std::string>({
        {with_config(R"({"Env":["A"]})"), "'A' in 'Env' has no '='"},
        {with_config(R"({"Env":"A=1"})"), "'Env' must be a list of strings"},
        {with_config(R"({"ExposedPorts":{"80":1}})"), "'80' in 'ExposedPorts'"},
        {with_config(R"({"Healthcheck":{"Retries":"3"}})"), "'Retries' must be a whole number"},
        {with_config(R"([])"), "'config' must be an object"},
        {R"({"os":"linux","rootfs":{"type":"layers"}})", "'architecture' is missing"},
        {R"({"os":"linux","architecture":"a"})", "'rootfs' is missing"},
        {R"({"os":"linux","architecture":"a","rootfs":{"type":"x"}})", "'type' must be"},
        {R"({"os":"linux","architecture":"a","rootfs":{"type":"layers","diff_ids":["sha256:1"]}})", "layer 0"},
        {R"({"os":"linux","architecture":"a","created":"now","rootfs":{"type":"layers"}})", "'created' is not a time"},
    }));
    INFO(text);
    CHECK_THROWS_WITH(parse_image_config(text), Catch::Contains(part));
    CHECK_THROWS_AS(parse_image_config(text), CorruptData);
}

}  // namespace
}  // namespace imgbuild::oci
