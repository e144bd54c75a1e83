// One exchange with libcurl. Internal to CurlTransport.
#pragma once

#include "registry/curl_library.hpp"
#include "registry/curl_transport.hpp"
#include "registry/http.hpp"

#include <memory>
#include <stop_token>

namespace imgbuild::registry {

/// An easy handle and the multi handle that drives it and keeps its connections. Movable. The library must outlive it.
class CurlHandles {
public:
    /// Throws std::bad_alloc.
    explicit CurlHandles(const CurlLibrary& curl);

    const CurlLibrary& curl() const { return *curl_; }
    CURL* easy() const { return easy_.get(); }
    CURLM* multi() const { return multi_.get(); }

private:
    struct EasyCleanup {
        const CurlLibrary* curl;
        void operator()(CURL* easy) const { curl->easy_cleanup(easy); }
    };
    struct MultiCleanup {
        const CurlLibrary* curl;
        void operator()(CURLM* multi) const { curl->multi_cleanup(multi); }
    };

    const CurlLibrary* curl_;
    // The order of destruction matters: easy handles go before their multi handle.
    std::unique_ptr<CURLM, MultiCleanup> multi_;
    std::unique_ptr<CURL, EasyCleanup> easy_;
};

/// See HttpTransport::send().
HttpResponse run_curl_exchange(CurlHandles& handles, const HttpRequest& request, const CurlOptions& options,
                               const Certificates& certificates, std::stop_token stop);

}  // namespace imgbuild::registry
