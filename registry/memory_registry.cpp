#include "registry/memory_registry.hpp"

#include <imgbuild/error.hpp>

#include "registry/url.hpp"
#include "util/bytes.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace imgbuild::registry {
namespace {

constexpr std::size_t kLargestBody = 64U << 20;

RegistryError failure(std::string code, std::string message, RegistryError::Retry retry) {
    return RegistryError({.code = std::move(code), .message = std::move(message), .hint = {}, .where = {}}, 0, retry);
}

std::string percent_decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned char value = 0;
        if (text[i] == '%' && i + 2 < text.size() &&
            std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr == text.data() + i + 3) {
            out += static_cast<char>(value);
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::map<std::string, std::string> parse_query(std::string_view query) {
    std::map<std::string, std::string> out;
    for (const std::string_view item : util::split(query, '&')) {
        const std::size_t equals = item.find('=');
        const std::string_view value = equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1);
        out[std::string(item.substr(0, equals))] = percent_decode(value);
    }
    return out;
}

std::string read_body(const HttpRequest& request) {
    if (request.body == nullptr) return {};
    std::string body = util::read_all(*request.body, kLargestBody, "request body");
    if (request.body_size && body.size() != *request.body_size) {
        throw failure("registry.connection-broken", "the body is not as long as announced", RegistryError::Retry::yes);
    }
    return body;
}

}  // namespace

struct MemoryRegistry::Call {
    std::string method;
    /// Between "/v2/" and the endpoint.
    std::string repository;
    /// "blobs/sha256:…", "manifests/1", "blobs/uploads/7"
    std::string endpoint;
    std::map<std::string, std::string> query;
    std::string body;
    std::string content_type;
    std::optional<std::string> range;
};

struct MemoryRegistry::Answer {
    int status = 200;
    std::vector<Header> headers;
    std::string body;
    /// Break the connection when this much of the body is out.
    std::optional<std::size_t> cut;

    static Answer error(int status, std::string_view code, std::string_view message) {
        return {.status = status,
                .headers = {},
                .body = fmt::format(R"({{"errors":[{{"code":"{}","message":"{}"}}]}})", code, message),
                .cut = {}};
    }
};

namespace {

// Splits "/v2/<name>/(blobs|manifests)/<rest>"; names may have several components.
std::optional<std::pair<std::string, std::string>> split_path(std::string_view path) {
    if (!path.starts_with("/v2/")) return std::nullopt;
    path.remove_prefix(4);
    for (const std::string_view kind : {"/blobs/", "/manifests/"}) {
        const std::size_t at = path.rfind(kind);
        if (at != std::string_view::npos)
            return std::pair(std::string(path.substr(0, at)), std::string(path.substr(at + 1)));
    }
    return std::nullopt;
}

}  // namespace

HttpResponse MemoryRegistry::send(const HttpRequest& request, std::stop_token stop) {
    if (stop.stop_requested()) throw Cancelled();
    Answer out = receive(request);
    HttpResponse response{.status = out.status, .headers = {}, .text = {}};
    for (Header& header : out.headers) response.headers.add(std::move(header.name), std::move(header.value));
    util::Sink* const sink = request.on_response ? request.on_response(response) : nullptr;
    if (request.method == "HEAD") return response;
    const std::string_view sent = std::string_view(out.body).substr(0, out.cut.value_or(out.body.size()));
    if (sink != nullptr) {
        sink->write(util::as_bytes(sent));
    } else if (sent.size() > request.text_limit && response.status < 300) {
        throw CorruptData({.code = "corrupt.too-large", .message = "the answer is too large", .hint = {}, .where = {}});
    } else {
        response.text = sent.substr(0, request.text_limit);
    }
    if (out.cut) throw failure("registry.connection-broken", "connection reset", RegistryError::Retry::yes);
    return response;
}

MemoryRegistry::Answer MemoryRegistry::receive(const HttpRequest& request) {
    const Url url = parse_url(request.url);
    const std::lock_guard lock(mutex_);
    log_.push_back(fmt::format("{} {}{}{}", request.method, url.path, url.query.empty() ? "" : "?", url.query));
    last_headers_ = request.headers;
    if (url.origin() != origin_ && url.origin() != misbehaviour_.blob_origin) {
        throw failure("registry.unknown-host", fmt::format("{}: no such host", url.origin()), RegistryError::Retry::no);
    }
    if (misbehaviour_.refusals > 0) return refuse();
    auto parts = split_path(url.path);
    if (!parts) return Answer::error(404, "UNSUPPORTED", "no such endpoint");
    const bool elsewhere = !misbehaviour_.blob_origin.empty() && url.origin() == origin_;
    if (elsewhere && parts->second.starts_with("blobs/sha256:") && request.method == "GET") {
        return {.status = 307, .headers = {{"Location", misbehaviour_.blob_origin + url.path}}, .body = {}, .cut = {}};
    }
    return answer({.method = request.method,
                   .repository = std::move(parts->first),
                   .endpoint = std::move(parts->second),
                   .query = parse_query(url.query),
                   .body = read_body(request),
                   .content_type = request.headers.find("Content-Type").value_or(""),
                   .range = request.headers.find("Range")});
}

MemoryRegistry::Answer MemoryRegistry::refuse() {
    --misbehaviour_.refusals;
    Answer out = Answer::error(misbehaviour_.refusal_status, "UNAVAILABLE", "come back later");
    if (!misbehaviour_.retry_after.empty()) out.headers.push_back({"Retry-After", misbehaviour_.retry_after});
    return out;
}

MemoryRegistry::Answer MemoryRegistry::answer(const Call& call) {
    constexpr std::string_view kUploads = "blobs/uploads/";
    constexpr std::string_view kManifests = "manifests/";
    constexpr std::string_view kBlobs = "blobs/";
    const bool reading = call.method == "GET" || call.method == "HEAD";
    if (call.endpoint == kUploads && call.method == "POST") return begin_upload(call);
    if (call.endpoint.starts_with(kUploads) && call.method == "PUT") return finish_upload(call);
    if (call.endpoint.starts_with(kManifests)) {
        const std::string name = call.endpoint.substr(kManifests.size());
        if (reading) return serve_manifest(call, name);
        if (call.method == "PUT") return take_manifest(call, name);
    } else if (call.endpoint.starts_with(kBlobs) && reading) {
        return serve_blob(call, call.endpoint.substr(kBlobs.size()));
    }
    return Answer::error(405, "UNSUPPORTED", "the operation is unsupported");
}

MemoryRegistry::Answer MemoryRegistry::serve_blob(const Call& call, const std::string& digest) {
    const Repo& repo = repositories_[call.repository];
    const auto found = repo.blobs.find(digest);
    if (found == repo.blobs.end()) return Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
    Answer out{.status = 200, .headers = {{"Docker-Content-Digest", digest}}, .body = found->second, .cut = {}};
    if (misbehaviour_.corrupt_blobs && !out.body.empty()) out.body[0] = static_cast<char>(out.body[0] ^ 1);
    std::size_t from = 0;
    if (call.range && !misbehaviour_.no_ranges && call.range->starts_with("bytes=")) {
        from = util::parse_number(std::string_view(*call.range).substr(6, call.range->size() - 7)).value_or(0);
        if (from >= out.body.size()) return Answer::error(416, "RANGE_INVALID", "there is nothing there");
        out.status = 206;
        out.headers.push_back(
            {"Content-Range", fmt::format("bytes {}-{}/{}", from, out.body.size() - 1, out.body.size())});
        out.body.erase(0, from);
    }
    if (misbehaviour_.cuts > 0 && call.method == "GET") {
        --misbehaviour_.cuts;
        out.cut = std::min<std::size_t>(misbehaviour_.cut_after, out.body.size());
    }
    return out;
}

MemoryRegistry::Answer MemoryRegistry::begin_upload(const Call& call) {
    const auto mount = call.query.find("mount");
    const auto from = call.query.find("from");
    if (mount != call.query.end() && from != call.query.end()) {
        const Repo& other = repositories_[from->second];
        const auto blob = other.blobs.find(mount->second);
        if (blob != other.blobs.end()) {
            repositories_[call.repository].blobs[blob->first] = blob->second;
            return {.status = 201, .headers = {{"Docker-Content-Digest", blob->first}}, .body = {}, .cut = {}};
        }
    }
    const std::string id = fmt::format("{}", next_upload_++);
    uploads_.insert(id);
    const std::string path = fmt::format("/v2/{}/blobs/uploads/{}?state=secret", call.repository, id);
    return {.status = 202,
            .headers = {{"Location", misbehaviour_.relative_locations ? path : origin_ + path}},
            .body = {},
            .cut = {}};
}

MemoryRegistry::Answer MemoryRegistry::finish_upload(const Call& call) {
    const std::string id = call.endpoint.substr(call.endpoint.rfind('/') + 1);
    if (!call.query.contains("state") || uploads_.erase(id) == 0) {
        return Answer::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    }
    const Digest digest = util::Sha256::of(call.body);
    const auto told = call.query.find("digest");
    if (told == call.query.end() || told->second != digest.text()) {
        return Answer::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    repositories_[call.repository].blobs[digest.text()] = call.body;
    const Digest announced = misbehaviour_.wrong_digest_header ? util::Sha256::of("other") : digest;
    return {.status = 201, .headers = {{"Docker-Content-Digest", announced.text()}}, .body = {}, .cut = {}};
}

MemoryRegistry::Answer MemoryRegistry::serve_manifest(const Call& call, const std::string& name) {
    const Repo& repo = repositories_[call.repository];
    const auto found = repo.manifests.find(name);
    if (found == repo.manifests.end()) return Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    const StoredManifest& manifest = found->second;
    const Digest digest = util::Sha256::of(misbehaviour_.wrong_digest_header ? "other" : manifest.bytes);
    const std::string& type = misbehaviour_.manifest_type.empty() ? manifest.media_type : misbehaviour_.manifest_type;
    return {.status = 200,
            .headers = {{"Content-Type", type}, {"Docker-Content-Digest", digest.text()}},
            .body = manifest.bytes,
            .cut = {}};
}

MemoryRegistry::Answer MemoryRegistry::take_manifest(const Call& call, const std::string& name) {
    const Digest digest = util::Sha256::of(call.body);
    if (name.starts_with("sha256:") && name != digest.text()) {
        return Answer::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    Repo& repo = repositories_[call.repository];
    if (misbehaviour_.lost_blobs > 0) {
        --misbehaviour_.lost_blobs;
        repo.blobs.clear();
        return Answer::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
    }
    repo.manifests[name] = {call.content_type, call.body};
    repo.manifests[digest.text()] = {call.content_type, call.body};
    const Digest announced = misbehaviour_.wrong_digest_header ? util::Sha256::of("other") : digest;
    return {.status = 201, .headers = {{"Docker-Content-Digest", announced.text()}}, .body = {}, .cut = {}};
}

void MemoryRegistry::misbehave(Misbehaviour how) {
    const std::lock_guard lock(mutex_);
    misbehaviour_ = std::move(how);
}

std::vector<std::string> MemoryRegistry::log() const {
    const std::lock_guard lock(mutex_);
    return log_;
}

Headers MemoryRegistry::last_headers() const {
    const std::lock_guard lock(mutex_);
    return last_headers_;
}

std::optional<std::string> MemoryRegistry::blob(const std::string& repository, const Digest& digest) const {
    const std::lock_guard lock(mutex_);
    const auto repo = repositories_.find(repository);
    if (repo == repositories_.end()) return std::nullopt;
    const auto found = repo->second.blobs.find(digest.text());
    return found == repo->second.blobs.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::string> MemoryRegistry::manifest(const std::string& repository, const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto repo = repositories_.find(repository);
    if (repo == repositories_.end()) return std::nullopt;
    const auto found = repo->second.manifests.find(name);
    return found == repo->second.manifests.end() ? std::nullopt : std::optional(found->second.bytes);
}

Digest MemoryRegistry::add_blob(const std::string& repository, std::string bytes) {
    const std::lock_guard lock(mutex_);
    const Digest digest = util::Sha256::of(bytes);
    repositories_[repository].blobs[digest.text()] = std::move(bytes);
    return digest;
}

void MemoryRegistry::add_manifest(const std::string& repository, const std::string& tag, std::string media_type,
                                  std::string bytes) {
    const std::lock_guard lock(mutex_);
    Repo& repo = repositories_[repository];
    const StoredManifest manifest{std::move(media_type), std::move(bytes)};
    repo.manifests[util::Sha256::of(manifest.bytes).text()] = manifest;
    repo.manifests[tag] = manifest;
}

}  // namespace imgbuild::registry
