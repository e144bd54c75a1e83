#include "registry/client.hpp"

#include "registry/memory_registry.hpp"
#include "registry/repository.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/registry/sample_image.hpp"

#include <algorithm>
#include <thread>

namespace imgbuild::registry {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kTags{"1", "latest"};
const Platform kAmd64{.os = "linux", .architecture = "amd64"};

// A registry with one pushed image, and a client that does not wait long between tries.
struct Pushed {
    MemoryRegistry registry{"http://127.0.0.1:5000"};
    RegistryClient client{registry, {.plain_http = {}, .retry = {.first_delay = 1ms, .longest = 2ms}}};
    Reference reference = Reference::parse("127.0.0.1:5000/team/app:1");
    Repository repository{client, reference};
    SampleImage image;

    Pushed() { image.push_to(repository, kTags); }

    std::string fetch() {
        util::StringSink out;
        repository.fetch(image.layer_descriptor(), out, {});
        return out.take();
    }
    long requests(std::string_view beginning) const {
        const auto log = registry.log();
        return std::count_if(log.begin(), log.end(),
                             [&](const std::string& line) { return line.starts_with(beginning); });
    }
};

template <class Expected>
Expected caught(const std::function<void()>& action) {
    try {
        action();
    } catch (const Expected& error) {
        return error;
    }
    FAIL("nothing was thrown");
    throw std::logic_error("unreachable");
}

TEST_CASE("an image that was pushed can be pulled by tag and by digest") {
    Pushed t;
    const oci::ResolvedImage by_tag = t.client.resolve(t.reference, kAmd64, {});
    CHECK(by_tag.manifest == t.image.manifest);
    CHECK(by_tag.manifest_bytes == t.image.manifest_bytes);
    CHECK(by_tag.config_bytes == t.image.config_bytes);
    CHECK(by_tag.manifest_descriptor.digest == t.image.descriptor.digest);
    const Reference by_digest = Reference::parse("127.0.0.1:5000/team/app@" + t.image.descriptor.digest.text());
    CHECK(t.client.resolve(by_digest, kAmd64, {}).manifest == t.image.manifest);
    CHECK(t.client.resolve(Reference::parse("127.0.0.1:5000/team/app"), kAmd64, {}).manifest == t.image.manifest);
    CHECK(t.fetch() == t.image.layer);
}

TEST_CASE("with tag and digest the digest counts") {
    Pushed t;
    const Reference both = Reference::parse("127.0.0.1:5000/team/app:gone@" + t.image.descriptor.digest.text());
    CHECK(t.client.resolve(both, kAmd64, {}).manifest == t.image.manifest);
}

TEST_CASE("an index is resolved through the registry") {
    Pushed t;
    const SampleImage other("arm layer", "linux/arm64");
    other.push_to(t.repository, {});
    oci::Index index;
    index.media_type = oci::media_type::kIndex;
    index.manifests = {t.image.descriptor, other.descriptor};
    index.manifests[0].platform = kAmd64;
    index.manifests[1].platform = Platform::parse("linux/arm64");
    const std::string bytes = index.to_json();
    const std::vector<std::string> tags{"multi"};
    t.repository.put_manifest(oci::describe(index.media_type, bytes), bytes, tags, {});
    const Reference multi = Reference::parse("127.0.0.1:5000/team/app:multi");
    CHECK(t.client.resolve(multi, Platform::parse("linux/arm64"), {}).manifest == other.manifest);
    const auto error = caught<RegistryError>([&] { t.client.resolve(multi, Platform::parse("linux/s390x"), {}); });
    CHECK(error.code() == "registry.no-such-platform");
}

TEST_CASE("a blob is looked for before it is pushed") {
    Pushed t;
    CHECK(t.repository.has(t.image.layer_descriptor(), {}));
    CHECK_FALSE(t.repository.has(oci::describe("a/b", "other"), {}));
}

TEST_CASE("uploads follow relative locations and keep their query") {
    Pushed t;
    t.registry.misbehave({.relative_locations = true});
    const SampleImage other("another");
    other.push_to(t.repository, kTags);
    CHECK(t.registry.blob("team/app", other.layer_descriptor().digest) == other.layer);
}

TEST_CASE("a blob of another repository is mounted instead of sent") {
    Pushed t;
    Repository target(t.client, Reference::parse("127.0.0.1:5000/team/new"), {"team/none", "team/app"});
    target.put(t.image.layer_descriptor(),
               [&]() -> std::unique_ptr<util::Source> {
                   FAIL("the content was opened");
                   return nullptr;
               },
               {});
    CHECK(t.registry.blob("team/new", t.image.layer_descriptor().digest) == t.image.layer);
}

TEST_CASE("a blob that cannot be mounted is sent") {
    Pushed t;
    Repository target(t.client, Reference::parse("127.0.0.1:5000/team/new"), {"team/none"});
    target.put(t.image.layer_descriptor(), oci::open_text(t.image.layer), {});
    CHECK(t.registry.blob("team/new", t.image.layer_descriptor().digest) == t.image.layer);
}

TEST_CASE("transient refusals are tried again, five times at most") {
    const int status = GENERATE(429, 500, 503);
    Pushed t;
    t.registry.misbehave({.refusals = 4, .refusal_status = status});
    CHECK(t.fetch() == t.image.layer);
    t.registry.misbehave({.refusals = 5, .refusal_status = status});
    const auto error = caught<RegistryError>([&] { t.fetch(); });
    CHECK(error.status() == status);
    CHECK(error.frames().front() == "giving up after 5 tries");
}

TEST_CASE("an upload is tried again from its beginning") {
    Pushed t;
    const SampleImage other("once more");
    t.registry.misbehave({.refusals = 2});
    t.repository.put(other.layer_descriptor(), oci::open_text(other.layer), {});
    CHECK(t.registry.blob("team/app", other.layer_descriptor().digest) == other.layer);
}

TEST_CASE("final refusals are not tried again") {
    Pushed t;
    t.registry.misbehave({.refusals = 1, .refusal_status = 403});
    const auto error = caught<RegistryError>([&] { t.fetch(); });
    CHECK(error.code() == "registry.denied");
    CHECK(error.status() == 403);
}

TEST_CASE("waiting for the next try ends when somebody asks to stop") {
    Pushed t;
    RegistryClient patient(t.registry, {.plain_http = {}, .retry = {.first_delay = 1h, .longest = 1h}});
    t.registry.misbehave({.refusals = 1});
    std::stop_source stop;
    const std::jthread stopper([&] { stop.request_stop(); });
    CHECK_THROWS_AS(patient.resolve(t.reference, kAmd64, stop.get_token()), Cancelled);
}

TEST_CASE("a download goes on where the connection broke") {
    Pushed t;
    t.registry.misbehave({.cuts = 2, .cut_after = 3});
    CHECK(t.fetch() == t.image.layer);
    CHECK(t.registry.last_headers().find("Range") == "bytes=6-");
}

TEST_CASE("a download from a registry without ranges begins again without repeating bytes") {
    Pushed t;
    t.registry.misbehave({.cuts = 1, .cut_after = 3, .no_ranges = true});
    CHECK(t.fetch() == t.image.layer);
}

TEST_CASE("a connection that breaks behind the last byte is no failure") {
    Pushed t;
    t.registry.misbehave({.cuts = 1, .cut_after = t.image.layer.size()});
    CHECK(t.fetch() == t.image.layer);
}

TEST_CASE("a connection that keeps breaking is given up") {
    Pushed t;
    t.registry.misbehave({.cuts = 100, .cut_after = 0});
    CHECK(caught<RegistryError>([&] { t.fetch(); }).code() == "registry.connection-broken");
    CHECK(t.requests("GET /v2/team/app/blobs/") == 5);
}

TEST_CASE("a corrupted blob is refused with its name and not tried again") {
    Pushed t;
    t.registry.misbehave({.corrupt_blobs = true});
    const auto error = caught<CorruptData>([&] { t.fetch(); });
    CHECK_THAT(error.message(), Catch::Contains(t.image.layer_descriptor().digest.text()));
    CHECK(t.requests("GET /v2/team/app/blobs/") == 1);
}

TEST_CASE("a manifest that is not what its digest says is refused") {
    Pushed t;
    const Digest wanted = util::Sha256::of("something else");
    t.registry.add_manifest("team/app", wanted.text(), std::string(oci::media_type::kManifest), t.image.manifest_bytes);
    CHECK_THROWS_AS(t.repository.fetch_manifest(wanted.text(), {}), CorruptData);
}

TEST_CASE("a registry that contradicts itself about a digest is refused") {
    Pushed t;
    t.registry.misbehave({.wrong_digest_header = true});
    CHECK_THROWS_AS(t.client.resolve(t.reference, kAmd64, {}), CorruptData);
    CHECK_THROWS_AS(t.image.push_to(t.repository, kTags), CorruptData);
}

TEST_CASE("a manifest announced as another kind is refused, one announced as text is read") {
    Pushed t;
    t.registry.misbehave({.manifest_type = "text/plain; charset=utf-8"});
    CHECK(t.client.resolve(t.reference, kAmd64, {}).manifest == t.image.manifest);
    t.registry.misbehave({.manifest_type = std::string(oci::media_type::kDockerManifest)});
    CHECK_THROWS_AS(t.client.resolve(t.reference, kAmd64, {}), CorruptData);
    t.registry.misbehave({.manifest_type = std::string(oci::media_type::kDockerSchema1)});
    CHECK(caught<CorruptData>([&] { t.client.resolve(t.reference, kAmd64, {}); }).code() == "corrupt.schema1");
}

TEST_CASE("a manifest larger than the limit is refused") {
    Pushed t;
    t.registry.add_manifest("team/app", "huge", std::string(oci::media_type::kManifest),
                            std::string(oci::kMaxManifestBytes + 1, ' '));
    CHECK(caught<CorruptData>([&] { t.repository.fetch_manifest("huge", {}); }).code() == "corrupt.too-large");
}

TEST_CASE("content that differs from its descriptor is never completely uploaded") {
    Pushed t;
    const oci::Descriptor promised = oci::describe("a/b", "promised");
    const std::string content = GENERATE("promises", "promise", "promised!");
    CHECK_THROWS_AS(t.repository.put(promised, oci::open_text(content), {}), CorruptData);
    CHECK_FALSE(t.registry.blob("team/app", promised.digest));
}

TEST_CASE("blobs are fetched through a redirect, without Authorization") {
    MemoryRegistry registry("https://registry.example");
    RegistryClient client(registry, {});
    Repository repository(client, Reference::parse("registry.example/app"));
    const SampleImage image;
    image.push_to(repository, kTags);
    registry.misbehave({.blob_origin = "https://cdn.example"});
    HttpRequest request;
    request.url = "https://registry.example/v2/app/blobs/" + image.layer_descriptor().digest.text();
    request.headers.add("authorization", "Bearer secret");
    CHECK(client.exchange(request, {}, Accept404::no, {}).text == image.layer);
    CHECK_FALSE(registry.last_headers().find("Authorization"));
}

TEST_CASE("a redirect that gives up TLS is refused") {
    MemoryRegistry registry("https://registry.example");
    RegistryClient client(registry, {});
    Repository repository(client, Reference::parse("registry.example/app"));
    const SampleImage image;
    image.push_to(repository, kTags);
    registry.misbehave({.blob_origin = "http://127.0.0.1:1"});
    util::StringSink out;
    const auto error = caught<RegistryError>([&] { repository.fetch(image.layer_descriptor(), out, {}); });
    CHECK(error.code() == "registry.insecure-redirect");
}

TEST_CASE("redirects in a circle end") {
    MemoryRegistry registry("https://registry.example");
    RegistryClient client(registry, {});
    const Reference reference = Reference::parse("registry.example/app");
    registry.misbehave({.blob_origin = "https://registry.example"});
    Repository repository(client, reference);
    util::StringSink out;
    const auto error = caught<RegistryError>([&] { repository.fetch(oci::describe("a/b", "x"), out, {}); });
    CHECK(error.code() == "registry.too-many-redirects");
}

TEST_CASE("only loopback hosts and those that were allowed are spoken to without TLS") {
    MemoryRegistry registry("http://x");
    const RegistryClient client(registry, {.plain_http = {"plain.example:5000"}, .retry = {}});
    CHECK(client.api("127.0.0.1:5000").scheme == "http");
    CHECK(client.api("localhost").scheme == "http");
    CHECK(client.api("[::1]:5000").scheme == "http");
    CHECK(client.api("plain.example:5000").scheme == "http");
    CHECK(client.api("plain.example").scheme == "https");
    CHECK(client.api("127.evil.example.org").scheme == "https");
    CHECK(client.api("docker.io").text() == "https://registry-1.docker.io/v2/");
}

TEST_CASE("a refusal tells registry, repository, request, status and the registry's own words") {
    Pushed t;
    const auto error =
        caught<RegistryError>([&] { t.client.resolve(Reference::parse("127.0.0.1:5000/team/app:2"), kAmd64, {}); });
    CHECK(error.code() == "registry.not-found");
    CHECK(std::string(error.what()) ==
          "pulling '127.0.0.1:5000/team/app:2': cannot pull manifest '2' of 127.0.0.1:5000/team/app: GET "
          "http://127.0.0.1:5000/v2/team/app/manifests/2 was answered with status 404: 'MANIFEST_UNKNOWN' 'manifest "
          "unknown'");
}

TEST_CASE("missing credentials are named as what they are") {
    Pushed t;
    t.registry.misbehave({.refusals = 1, .refusal_status = 401});
    const auto error = caught<RegistryError>([&] { t.fetch(); });
    CHECK(error.code() == "registry.unauthorized");
    CHECK(error.hint() ==
          "no credentials for 127.0.0.1:5000 were found; `imgbuild login 127.0.0.1:5000` asks for them");
}

TEST_CASE("a registry's words are bounded and cannot garble the terminal") {
    HttpResponse response;
    response.status = 400;
    response.text = R"({"errors":[{"code":"\u001b[31m","message":")" + std::string(1000, 'x') +
                    R"("},{"code":1},{"code":"a"},{"code":"fourth"},5]})";
    const auto error =
        caught<RegistryError>([&] { throw_refusal(response, {.what = "try", .registry = "r"}, "GET u"); });
    CHECK_THAT(error.message(), !Catch::Contains("\x1b"));
    CHECK_THAT(error.message(), !Catch::Contains("fourth"));
    CHECK(error.message().size() < 600);
}

}  // namespace
}  // namespace imgbuild::registry
