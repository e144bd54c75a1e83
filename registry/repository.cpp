#include "registry/repository.hpp"

#include "oci/manifest.hpp"
#include "oci/media_types.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

namespace imgbuild::registry {
namespace {

// Drops what was received before a connection broke, when a registry begins again from the start.
class SkippingSink final : public util::Sink {
public:
    SkippingSink(util::Sink& next, std::uint64_t skip) : next_(next), skip_(skip) {}

    void write(std::span<const std::byte> bytes) override {
        const auto skipped = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, bytes.size()));
        skip_ -= skipped;
        if (skipped < bytes.size()) next_.write(bytes.subspan(skipped));
    }

private:
    util::Sink& next_;
    std::uint64_t skip_;
};

// Holds the last bytes back until the whole content has proved to be right, so that a blob that changed under our hands
// is never completely sent.
class CheckedUpload final : public util::Source {
public:
    CheckedUpload(util::Source& content, const oci::Descriptor& blob, const std::stop_token& stop)
        : verified_(content, blob.digest, blob.size, fmt::format("blob {}", blob.digest.text())),
          size_(blob.size),
          stop_(stop) {}

    std::size_t read(std::span<std::byte> into) override {
        if (stop_.stop_requested()) throw Cancelled();
        const std::size_t n = verified_.read(into);
        sent_ += n;
        if (n > 0 && sent_ == size_) {
            std::array<std::byte, 1> beyond{};
            verified_.read(beyond);
        }
        return n;
    }

private:
    util::VerifyingSource verified_;
    std::uint64_t size_;
    const std::stop_token& stop_;
    std::uint64_t sent_ = 0;
};

std::string accepted_manifests() {
    return fmt::format("{}, {}, {}, {}", oci::media_type::kIndex, oci::media_type::kManifest,
                       oci::media_type::kDockerManifestList, oci::media_type::kDockerManifest);
}

// What the answer calls its body, if that is a kind of manifest; some servers say "text/plain" to everything.
std::string announced_type(const HttpResponse& response) {
    const std::string header = response.headers.find("Content-Type").value_or("");
    const std::string_view type = util::trim(std::string_view(header).substr(0, header.find(';')));
    const bool known = oci::is_manifest(type) || oci::is_index(type) || oci::is_schema1(type);
    return known ? std::string(type) : std::string();
}

// The registry's own idea of the digest. One of another algorithm is no contradiction.
void check_announced_digest(const HttpResponse& response, const Digest& digest, const std::string& what) {
    const auto header = response.headers.find("Docker-Content-Digest");
    if (!header || !header->starts_with("sha256:") || *header == digest.text()) return;
    throw CorruptData(what, digest.text(), fmt::format("{} (as the registry says)", util::quote(*header)));
}

// A 206 must continue exactly where we stopped.
void check_content_range(const HttpResponse& response, std::uint64_t from, const Purpose& purpose) {
    const std::string range = response.headers.find("Content-Range").value_or("");
    if (range.starts_with(fmt::format("bytes {}-", from))) return;
    throw RegistryError(
        {.code = "registry.bad-answer",
         .message = fmt::format("cannot {}: asked for bytes from {}, got {}", purpose.what, from, util::quote(range)),
         .hint = {},
         .where = {}},
        response.status, RegistryError::Retry::no);
}

}  // namespace

Repository::Repository(RegistryClient& client, const Reference& reference, std::vector<std::string> mount_from)
    : client_(client), domain_(reference.domain()), path_(reference.path()), mount_from_(std::move(mount_from)) {}

HttpRequest Repository::request(std::string_view method, std::string_view below) const {
    Url url = client_.api(domain_);
    url.path += fmt::format("{}/{}", path_, below);
    HttpRequest request;
    request.method = method;
    request.url = url.text();
    return request;
}

// One set of scopes for everything that a push does, so that it needs one token.
Purpose Repository::purpose(std::string_view what, Access access) const {
    Purpose out{.what = fmt::format("{} {}/{}", what, domain_, path_), .registry = domain_, .path = path_};
    out.scopes.push_back(fmt::format("repository:{}:{}", path_, access == Access::pull ? "pull" : "pull,push"));
    if (access == Access::push) {
        for (const std::string& other : mount_from_) out.scopes.push_back(fmt::format("repository:{}:pull", other));
    }
    std::sort(out.scopes.begin(), out.scopes.end());
    return out;
}

// Reading -------------------------------------------------------------------------------------------------------------

void Repository::fetch(const oci::Descriptor& blob, util::Sink& into, std::stop_token stop) {
    const Purpose why = purpose(fmt::format("pull blob {} of", blob.digest.text()), Access::pull);
    oci::VerifyingSink sink(blob, into, fmt::format("blob {} of {}/{}", blob.digest.text(), domain_, path_));
    with_retries(
        client_.retry(), stop, [&] { fetch_rest(blob, sink, why, stop); }, [&] { return sink.size(); });
    sink.finish();
}

void Repository::fetch_rest(const oci::Descriptor& blob, oci::VerifyingSink& sink, const Purpose& why,
                            std::stop_token stop) {
    const std::uint64_t from = sink.size();
    // The connection may have broken behind the last byte; asking for nothing would be an error.
    if (from > 0 && from == blob.size) return;
    HttpRequest get = request("GET", "blobs/" + blob.digest.text());
    if (from > 0) get.headers.add("Range", fmt::format("bytes={}-", from));
    SkippingSink again(sink, from);
    get.on_response = [&](const HttpResponse& response) -> util::Sink* {
        if (response.status == 200) return &again;
        if (response.status != 206) return nullptr;
        check_content_range(response, from, why);
        return &sink;
    };
    client_.exchange(std::move(get), why, Accept404::no, stop);
}

oci::Document Repository::fetch_manifest(std::string_view tag_or_digest, std::stop_token stop) {
    const Purpose why = purpose(fmt::format("pull manifest {} of", util::quote(tag_or_digest)), Access::pull);
    HttpRequest get = request("GET", fmt::format("manifests/{}", tag_or_digest));
    get.headers.add("Accept", accepted_manifests());
    get.text_limit = oci::kMaxManifestBytes;
    HttpResponse response;
    with_retries(client_.retry(), stop, [&] { response = client_.exchange(get, why, Accept404::no, stop); });

    oci::Document document;
    document.descriptor = oci::describe(announced_type(response), response.text);
    document.bytes = std::move(response.text);
    const std::string what = fmt::format("manifest {} of {}/{}", util::quote(tag_or_digest), domain_, path_);
    const auto wanted = Digest::parse(tag_or_digest);
    if (wanted && *wanted != document.descriptor.digest) {
        throw CorruptData(what, wanted->text(), document.descriptor.digest.text());
    }
    check_announced_digest(response, document.descriptor.digest, what);
    return document;
}

std::optional<Digest> Repository::find_manifest(std::string_view tag_or_digest, std::stop_token stop) {
    const Purpose why = purpose(fmt::format("look for manifest {} of", util::quote(tag_or_digest)), Access::pull);
    HttpRequest head = request("HEAD", fmt::format("manifests/{}", tag_or_digest));
    head.headers.add("Accept", accepted_manifests());
    HttpResponse response;
    try {
        with_retries(client_.retry(), stop, [&] { response = client_.exchange(head, why, Accept404::yes, stop); });
    } catch (const RegistryError& error) {
        // Not everybody answers this question. Who refuses a GET as well is told of then.
        if (error.status() < 400 || error.status() >= 500 || error.retry() == RegistryError::Retry::yes) throw;
        return std::nullopt;
    }
    if (response.status == 404) return std::nullopt;
    return Digest::parse(response.headers.find("Docker-Content-Digest").value_or(""));
}

// Writing -------------------------------------------------------------------------------------------------------------

bool Repository::has(const oci::Descriptor& blob, std::stop_token stop) {
    const Purpose why = purpose(fmt::format("look for blob {} in", blob.digest.text()), Access::push);
    HttpResponse response;
    with_retries(client_.retry(), stop, [&] {
        response = client_.exchange(request("HEAD", "blobs/" + blob.digest.text()), why, Accept404::yes, stop);
    });
    return response.status != 404;
}

void Repository::put(const oci::Descriptor& blob, const oci::OpenContent& open, std::stop_token stop) {
    const Purpose why = purpose(fmt::format("push blob {} to", blob.digest.text()), Access::push);
    with_retries(client_.retry(), stop, [&] { upload(blob, open, why, stop); });
}

std::optional<Url> Repository::begin_upload(const oci::Descriptor& blob, const Purpose& why, std::stop_token stop) {
    const HttpRequest plain = request("POST", "blobs/uploads/");
    std::vector<HttpRequest> attempts;
    // Each POST can name one repository to mount from. A registry that has not the blob there, or cannot mount, begins
    // an upload instead; that of the last attempt is used, and the registry forgets the others.
    for (const std::string& other : mount_from_) {
        Url url = parse_url(plain.url);
        add_query(url, "mount", blob.digest.text());
        add_query(url, "from", other);
        attempts.push_back(plain);
        attempts.back().url = url.text();
    }
    HttpResponse response;
    for (const HttpRequest& attempt : attempts) {
        try {
            response = client_.exchange(attempt, why, Accept404::yes, stop);
        } catch (const RegistryError& error) {
            // We may not read the other repository, or there is none: then it is sent like anything else. Were we not
            // allowed to write, the request below would say so.
            if (error.status() < 400 || error.status() >= 500 || error.retry() == RegistryError::Retry::yes) throw;
            continue;
        }
        if (response.status == 201) return std::nullopt;
    }
    if (response.status != 202) response = client_.exchange(plain, why, Accept404::no, stop);
    const auto location = response.headers.find("Location");
    if (response.status == 202 && location) return client_.follow(parse_url(plain.url), *location);
    throw RegistryError({.code = "registry.bad-answer",
                         .message = fmt::format("cannot {}: the registry did not say where to send it", why.what),
                         .hint = {},
                         .where = {}},
                        response.status, RegistryError::Retry::no);
}

void Repository::upload(const oci::Descriptor& blob, const oci::OpenContent& open, const Purpose& why,
                        std::stop_token stop) {
    auto location = begin_upload(blob, why, stop);
    if (!location) return;
    add_query(*location, "digest", blob.digest.text());
    const auto content = open();
    CheckedUpload body(*content, blob, stop);
    HttpRequest put;
    put.method = "PUT";
    put.url = location->text();
    put.headers.add("Content-Type", "application/octet-stream");
    put.body = &body;
    put.body_size = blob.size;
    const HttpResponse response = client_.exchange(put, why, Accept404::no, stop);
    check_announced_digest(response, blob.digest, fmt::format("pushed blob of {}/{}", domain_, path_));
}

void Repository::put_manifest(const oci::Descriptor& manifest, std::string_view bytes,
                              std::span<const std::string> tags, std::stop_token stop) {
    if (const Digest actual = util::Sha256::of(bytes); actual != manifest.digest) {
        throw CorruptData("the manifest to be pushed", manifest.digest.text(), actual.text());
    }
    if (tags.empty()) return put_named(manifest, bytes, manifest.digest.text(), stop);
    for (const std::string& tag : tags) put_named(manifest, bytes, tag, stop);
}

void Repository::put_named(const oci::Descriptor& manifest, std::string_view bytes, std::string_view tag_or_digest,
                           std::stop_token stop) {
    const Purpose why = purpose(fmt::format("push manifest {} to", util::quote(tag_or_digest)), Access::push);
    with_retries(client_.retry(), stop, [&] {
        util::MemorySource body(bytes);
        HttpRequest put = request("PUT", fmt::format("manifests/{}", tag_or_digest));
        put.headers.add("Content-Type", manifest.media_type);
        put.body = &body;
        put.body_size = bytes.size();
        const HttpResponse response = client_.exchange(put, why, Accept404::no, stop);
        check_announced_digest(response, manifest.digest,
                               fmt::format("pushed manifest {}", util::quote(tag_or_digest)));
    });
}

}  // namespace imgbuild::registry
