// HTTP by libcurl. The library is loaded at the first request, not when the program starts: most builds never need the
// network, and loading costs as much as the rest of a cached build.
#pragma once

#include "registry/certificates.hpp"
#include "registry/http.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace imgbuild::registry {

struct CurlOptions {
    std::chrono::seconds connect_timeout{30};
    /// A transfer slower than `low_speed` bytes per second for `low_speed_time` is given up.
    std::uint64_t low_speed = 16;
    std::chrono::seconds low_speed_time{60};
    /// Most time for an exchange whose answer is a text.
    std::chrono::seconds longest_text{300};
    /// A file of CA certificates in place of the system's, and a directory of them as OpenSSL reads it; empty for the
    /// system's.
    std::string ca_file;
    std::string ca_directory;
    /// What a server ("host:port") needs besides; asked once per server. Null: nothing. May throw.
    std::function<Certificates(const std::string& authority)> certificates = {};
    std::string user_agent = "imgbuild";
    /// The shared object that is loaded.
    std::string library = "libcurl.so.4";
};

/// Connections are kept and used again; each concurrent request has one of its own. Proxies come from the usual
/// environment variables (http_proxy, HTTPS_PROXY, NO_PROXY …), as libcurl reads them; loopback hosts are reached
/// without.
class CurlTransport final : public HttpTransport {
public:
    explicit CurlTransport(CurlOptions options = {});
    ~CurlTransport() override;

    HttpResponse send(const HttpRequest& request, std::stop_token stop) override;

private:
    class Pool;
    std::unique_ptr<Pool> pool_;
};

}  // namespace imgbuild::registry
