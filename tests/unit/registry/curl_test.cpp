#include "registry/curl_transport.hpp"

#include <imgbuild/error.hpp>

#include "registry/client.hpp"
#include "registry/oci_archive.hpp"
#include "registry/oci_layout.hpp"
#include "registry/repository.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/registry/docker_registry.hpp"
#include "tests/unit/registry/raw_server.hpp"
#include "tests/unit/registry/sample_image.hpp"
#include "util/defer.hpp"
#include "util/files.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace imgbuild::registry {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kTag{"1"};
const Platform kAmd64{.os = "linux", .architecture = "amd64"};

bool run(const std::string& command) {
    return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

std::string error_code(HttpTransport& transport, const std::string& url) {
    try {
        HttpRequest request;
        request.url = url;
        transport.send(request, {});
    } catch (const Error& error) {
        CHECK_FALSE(error.message().empty());
        return error.code();
    }
    return {};
}

TEST_CASE("an image is pushed to a real registry and pulled from it") {
    const auto server = DockerRegistry::start();
    if (!server) return;
    CurlTransport transport;
    RegistryClient client(transport, {});
    const Reference reference = Reference::parse(server->domain() + "/team/app:1");
    Repository repository(client, reference);
    const SampleImage image(std::string(3'000'000, 'z'));
    CHECK_FALSE(repository.has(image.layer_descriptor(), {}));
    image.push_to(repository, kTag);
    CHECK(repository.has(image.layer_descriptor(), {}));

    const oci::ResolvedImage pulled = client.resolve(reference, kAmd64, {});
    CHECK(pulled.manifest == image.manifest);
    util::StringSink layer;
    repository.fetch(image.layer_descriptor(), layer, {});
    CHECK((layer.text() == image.layer));

    SECTION("skopeo reads it") {
        CHECK(run("skopeo inspect --tls-verify=false docker://" + reference.text()));
    }
    SECTION("blobs are mounted into another repository") {
        Repository other(client, Reference::parse(server->domain() + "/team/other"), {"team/app"});
        other.put(image.layer_descriptor(), []() -> std::unique_ptr<util::Source> { throw std::logic_error("opened"); },
                  {});
        CHECK(other.has(image.layer_descriptor(), {}));
    }
    SECTION("several threads use one transport") {
        std::vector<std::jthread> threads;
        std::atomic<int> right = 0;
        for (int i = 0; i < 6; ++i) {
            threads.emplace_back([&] {
                util::StringSink out;
                repository.fetch(image.layer_descriptor(), out, {});
                if (out.text() == image.layer) ++right;
            });
        }
        threads.clear();
        CHECK(right == 6);
    }
    SECTION("a blob corrupted on the registry's disk is refused") {
        std::ofstream(server->blob_file(image.layer_descriptor().digest.hex())) << std::string(3'000'000, 'y');
        util::NullSink nowhere;
        CHECK_THROWS_AS(repository.fetch(image.layer_descriptor(), nowhere, {}), CorruptData);
    }
    SECTION("a tag that is not there is told in the registry's words") {
        CHECK_THROWS_WITH(client.resolve(Reference::parse(server->domain() + "/team/app:2"), kAmd64, {}),
                          Catch::Contains("status 404: 'MANIFEST_UNKNOWN'"));
    }
}

TEST_CASE("skopeo copies a layout that we wrote into a registry, and we pull it") {
    const auto server = DockerRegistry::start();
    if (!server) return;
    const util::TempDir directory(std::filesystem::temp_directory_path().string(), "imgbuild-skopeo-");
    const SampleImage image(std::string(1024, '\0'));
    OciLayoutWriter writer(directory.path() + "/layout");
    image.push_to(writer, kTag);
    REQUIRE(run(fmt::format("skopeo copy --dest-tls-verify=false oci:{}/layout:1 docker://{}/copied:1",
                            directory.path(), server->domain())));
    CurlTransport transport;
    RegistryClient client(transport, {});
    const oci::ResolvedImage pulled = client.resolve(Reference::parse(server->domain() + "/copied:1"), kAmd64, {});
    CHECK(pulled.config.diff_ids == oci::parse_image_config(image.config_bytes).diff_ids);
}

TEST_CASE("skopeo reads an archive that we wrote") {
    if (!run("skopeo --version")) {
        WARN("skipped: skopeo is not installed");
        return;
    }
    const util::TempDir directory(std::filesystem::temp_directory_path().string(), "imgbuild-archive-");
    const std::string path = directory.path() + "/image.tar";
    {
        util::AtomicFile file(path);
        util::FdSink out(file.fd(), path);
        OciArchiveWriter archive(out);
        const std::vector<std::string> name{"docker.io/library/app:1"};
        SampleImage(std::string(1024, '\0')).push_to(archive, name);
        archive.finish();
        file.commit();
    }
    CHECK(run("skopeo inspect oci-archive:" + path + ":1"));
    CHECK(run("skopeo copy oci-archive:" + path + " dir:" + directory.path() + "/copy"));
}

TEST_CASE("a proxy of the environment is not asked for loopback hosts") {
    ::setenv("http_proxy", "http://127.0.0.1:1", 1);
    const util::Defer restore([] { ::unsetenv("http_proxy"); });
    CurlTransport transport;
    const RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    HttpRequest request;
    request.url = server.url();
    CHECK(transport.send(request, {}).text == "ok");
}

TEST_CASE("interim answers and trailers do not confuse the real answer") {
    CurlTransport transport;
    const RawServer server(
        "HTTP/1.1 103 Early Hints\r\nX-A: early\r\n\r\nHTTP/1.1 200 OK\r\nX-A: late\r\nTransfer-Encoding: "
        "chunked\r\n\r\n"
        "2\r\nok\r\n0\r\nX-T: trailer\r\n\r\n");
    HttpRequest request;
    request.url = server.url();
    const HttpResponse response = transport.send(request, {});
    CHECK(response.text == "ok");
    CHECK(response.headers.find("x-a") == "late");
    CHECK_FALSE(response.headers.find("X-T"));
}

TEST_CASE("each way of not reaching a registry has its own code") {
    CurlTransport transport({.connect_timeout = 2s});
    CHECK(error_code(transport, "http://no-such-host.invalid/v2/") == "registry.unknown-host");
    CHECK(error_code(transport, "http://127.0.0.1:1/v2/") == "registry.connection-refused");
    const RawServer plain("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    CHECK(error_code(transport, fmt::format("https://127.0.0.1:{}/v2/", plain.port())) == "registry.tls");
    const RawServer silent("");
    CHECK(error_code(transport, silent.url()) == "registry.connection-broken");
}

TEST_CASE("a missing library is an error at the first request, not before") {
    CurlTransport transport({.library = "libcurl-not-there.so.4"});
    CHECK(error_code(transport, "http://127.0.0.1:1/") == "registry.no-http-library");
}

TEST_CASE("hostile answers are refused") {
    CurlTransport transport;
    std::string many = "HTTP/1.1 200 OK\r\n";
    for (std::size_t i = 0; i <= kMaxHeaderCount; ++i) many += fmt::format("X-{}: 1\r\n", i);
    const RawServer headers(many + "\r\n");
    CHECK(error_code(transport, headers.url()) == "registry.bad-answer");
    const RawServer large("HTTP/1.1 200 OK\r\nX: " + std::string(kMaxHeaderBytes - 20, 'x') +
                          "\r\nY: " + std::string(100, 'y') + "\r\n\r\n");
    CHECK(error_code(transport, large.url()) == "registry.bad-answer");
    const RawServer not_http("SSH-2.0-OpenSSH\r\n");
    CHECK_FALSE(error_code(transport, not_http.url()).empty());
    const RawServer cut("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    CHECK(error_code(transport, cut.url()) == "registry.connection-broken");
    const RawServer body("HTTP/1.1 200 OK\r\n\r\n" + std::string(100, 'b'));
    HttpRequest request;
    request.url = body.url();
    request.text_limit = 99;
    CHECK_THROWS_AS(transport.send(request, {}), CorruptData);
}

TEST_CASE("a long error body is cut and not an error of its own") {
    CurlTransport transport;
    const RawServer server("HTTP/1.1 500 No\r\n\r\n" + std::string(100, 'b'));
    HttpRequest request;
    request.url = server.url();
    request.text_limit = 10;
    const HttpResponse response = transport.send(request, {});
    CHECK(response.status == 500);
    CHECK(response.text == "bbbbbbbbbb");
}

TEST_CASE("what a sink throws comes out of the transfer") {
    class Full final : public util::Sink {
        void write(std::span<const std::byte>) override { throw IoError("write", "disk", ENOSPC); }
    } full;
    CurlTransport transport;
    const RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
    HttpRequest request;
    request.url = server.url();
    request.on_response = [&](const HttpResponse&) { return &full; };
    CHECK_THROWS_AS(transport.send(request, {}), IoError);
}

TEST_CASE("a stop request ends a hanging transfer at once") {
    CurlTransport transport;
    const RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst", RawServer::After::hang);
    std::stop_source stop;
    HttpRequest request;
    request.url = server.url();
    const std::jthread stopper([&] {
        std::this_thread::sleep_for(100ms);
        stop.request_stop();
    });
    const auto begin = std::chrono::steady_clock::now();
    CHECK_THROWS_AS(transport.send(request, stop.get_token()), Cancelled);
    CHECK(std::chrono::steady_clock::now() - begin < 5s);
}

TEST_CASE("a transfer that crawls is given up") {
    CurlTransport transport({.low_speed_time = 1s});
    const RawServer server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", RawServer::After::hang);
    CHECK(error_code(transport, server.url()) == "registry.timeout");
}

}  // namespace
}  // namespace imgbuild::registry
