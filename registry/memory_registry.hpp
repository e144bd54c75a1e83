// A registry in memory, behind the same interface as the network: the client's other side in tests, real in what it
// keeps and checks (digests, ranges, mounts, uploads), and able to misbehave on request.
#pragma once

#include <imgbuild/digest.hpp>

#include "registry/http.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::registry {

/// How the registry misbehaves. Counters go down with each use.
struct Misbehaviour {
    /// The next `refusals` requests are answered with `refusal_status` and, if set, Retry-After.
    int refusals = 0;
    int refusal_status = 500;
    std::string retry_after;
    /// The next `cuts` blob downloads break after `cut_after` bytes of body.
    int cuts = 0;
    std::uint64_t cut_after = 0;
    /// Downloads of blobs have their first byte changed.
    bool corrupt_blobs = false;
    /// Docker-Content-Digest is that of something else.
    bool wrong_digest_header = false;
    /// The next manifests to come find the blobs of their repository gone.
    int lost_blobs = 0;
    /// Ranges are ignored, as simple servers do.
    bool no_ranges = false;
    /// Blobs are served from this origin ("https://cdn.example") by a redirect.
    std::string blob_origin;
    /// Upload locations are relative references.
    bool relative_locations = false;
    /// All manifests are announced as this type.
    std::string manifest_type;
};

/// Repositories appear when something is pushed to them. May be used from several threads.
class MemoryRegistry final : public HttpTransport {
public:
    /// `origin` is where it answers, for example "http://127.0.0.1:5000"; requests to other hosts fail as unknown ones.
    explicit MemoryRegistry(std::string origin) : origin_(std::move(origin)) {}

    HttpResponse send(const HttpRequest& request, std::stop_token stop) override;

    void misbehave(Misbehaviour how);

    /// For checks: what was asked, as "METHOD path?query", oldest first, and the last request's headers.
    std::vector<std::string> log() const;
    Headers last_headers() const;
    /// Nothing if there is no such thing.
    std::optional<std::string> blob(const std::string& repository, const Digest& digest) const;
    std::optional<std::string> manifest(const std::string& repository, const std::string& tag_or_digest) const;
    /// Puts things there without HTTP.
    Digest add_blob(const std::string& repository, std::string bytes);
    void add_manifest(const std::string& repository, const std::string& tag, std::string media_type, std::string bytes);

private:
    struct StoredManifest {
        std::string media_type;
        std::string bytes;
    };
    struct Repo {
        std::map<std::string, std::string> blobs;
        std::map<std::string, StoredManifest> manifests;
    };
    struct Call;
    struct Answer;

    Answer receive(const HttpRequest& request);
    Answer refuse();
    Answer answer(const Call& call);
    Answer serve_blob(const Call& call, const std::string& digest);
    Answer begin_upload(const Call& call);
    Answer finish_upload(const Call& call);
    Answer serve_manifest(const Call& call, const std::string& name);
    Answer take_manifest(const Call& call, const std::string& name);

    const std::string origin_;
    mutable std::mutex mutex_;
    std::map<std::string, Repo> repositories_;
    std::set<std::string> uploads_;
    Misbehaviour misbehaviour_;
    std::vector<std::string> log_;
    Headers last_headers_;
    int next_upload_ = 1;
};

}  // namespace imgbuild::registry
