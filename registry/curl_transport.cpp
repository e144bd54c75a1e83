// One exchange is one easy handle driven by a multi handle of its own. The multi handle is there for two reasons: it
// keeps the connections for the next exchange, and it can be woken from another thread, so that a stop request ends a
// transfer at once and not at its next byte.
#include "registry/curl_transport.hpp"

#include <imgbuild/error.hpp>

#include "registry/curl_exchange.hpp"
#include "registry/curl_library.hpp"
#include "registry/url.hpp"

#include <map>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace imgbuild::registry {
namespace {

// Connections beyond this many are closed when their exchange ends.
constexpr std::size_t kMostIdle = 8;

}  // namespace

class CurlTransport::Pool {
public:
    explicit Pool(CurlOptions options) : options_(std::move(options)) {}

    const CurlOptions& options() const { return options_; }

    const CurlLibrary& library() {
        std::call_once(loaded_, [this] { library_ = load_curl(options_.library); });
        return library_;
    }

    std::shared_ptr<const Certificates> certificates(const Url& url) {
        if (url.scheme != "https" || !options_.certificates) return nothing_;
        const std::lock_guard lock(mutex_);
        auto& slot = certificates_[url.authority];
        if (!slot) slot = std::make_shared<const Certificates>(options_.certificates(url.authority));
        return slot;
    }

    CurlHandles take() {
        const CurlLibrary& curl = library();
        const std::lock_guard lock(mutex_);
        if (idle_.empty()) return CurlHandles(curl);
        CurlHandles handles = std::move(idle_.back());
        idle_.pop_back();
        return handles;
    }

    void give_back(CurlHandles handles) {
        const std::lock_guard lock(mutex_);
        if (idle_.size() < kMostIdle) idle_.push_back(std::move(handles));
    }

private:
    const CurlOptions options_;
    std::once_flag loaded_;
    CurlLibrary library_{};
    std::mutex mutex_;
    std::vector<CurlHandles> idle_;
    const std::shared_ptr<const Certificates> nothing_ = std::make_shared<const Certificates>();
    std::map<std::string, std::shared_ptr<const Certificates>> certificates_;
};

CurlTransport::CurlTransport(CurlOptions options) : pool_(std::make_unique<Pool>(std::move(options))) {}

CurlTransport::~CurlTransport() = default;

HttpResponse CurlTransport::send(const HttpRequest& request, std::stop_token stop) {
    if (stop.stop_requested()) throw Cancelled();
    CurlHandles handles = pool_->take();
    Certificates certificates = *pool_->certificates(parse_url(request.url));
    if (certificates.for_registry_only && !request.to_registry) {
        certificates.client_certificate.clear();
        certificates.client_key.clear();
    }
    HttpResponse response = run_curl_exchange(handles, request, pool_->options(), certificates, stop);
    // Only a connection whose exchange went well is worth keeping; an exception drops it.
    pool_->give_back(std::move(handles));
    return response;
}

}  // namespace imgbuild::registry
