#include "registry/download.hpp"

#include <imgbuild/error.hpp>

#include "registry/registry_errors.hpp"
#include "registry/url.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace imgbuild::registry {
namespace {

constexpr int kMaxRedirects = 10;

Error failed(std::string message, std::string hint = {}) {
    return Error({.code = "source.download", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

// Bounds what a server sends, and counts it.
class BoundedSink final : public util::Sink {
public:
    BoundedSink(util::Sink& next, std::uint64_t limit, const std::string& what)
        : next_(next), limit_(limit), what_(what) {}

    void write(std::span<const std::byte> bytes) override {
        size_ += bytes.size();
        if (size_ > limit_) {
            throw Error({.code = "source.too-large",
                         .message = fmt::format("{} has more than {} bytes", util::quote(what_), limit_),
                         .hint = {},
                         .where = {}});
        }
        next_.write(bytes);
    }
    std::uint64_t size() const { return size_; }

private:
    util::Sink& next_;
    std::uint64_t limit_;
    const std::string& what_;
    std::uint64_t size_ = 0;
};

bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string refusal_hint(int status) {
    if (status == 401 || status == 403) return "give a secret: --secret id=HTTP_AUTH_TOKEN_HOST,env=VARIABLE";
    if (status == 404 || status == 410) return "check the URL";
    return {};
}

[[noreturn]] void throw_status(const HttpResponse& response, const Url& url) {
    const int status = response.status;
    ErrorInfo info{.code = "source.download",
                   .message = fmt::format("cannot download {}: it was answered with status {}",
                                          util::quote(url.redacted()), status),
                   .hint = refusal_hint(status),
                   .where = {}};
    const bool transient = status == 408 || status == 429 || status >= 500;
    if (!transient) throw Error(std::move(info));
    throw TransientRefusal(std::move(info), status,
                           response.headers.find("Retry-After").and_then([](const std::string& value) {
                               return parse_retry_after(value);
                           }));
}

Url follow(const Url& from, const std::string& location) {
    Url next = resolve_url(from, location);
    if (from.scheme == "https" && next.scheme == "http") {
        throw failed(fmt::format("{} sends us to {}, which has no TLS", util::quote(from.redacted()),
                                 util::quote(next.redacted())),
                     "name that URL yourself if it is to be trusted");
    }
    return next;
}

Downloaded attempt(HttpTransport& transport, const DownloadRequest& request, util::Sink& into,
                   const std::stop_token& stop) {
    Url url = parse_url(request.url);
    const std::string shown = url.redacted();
    BoundedSink bounded(into, request.limit, shown);
    HttpRequest exchange;
    if (request.authorization) exchange.headers.add("Authorization", *request.authorization);
    exchange.on_response = [&bounded](const HttpResponse& response) -> util::Sink* {
        return response.status == 200 ? &bounded : nullptr;
    };
    for (int redirects = 0;; ++redirects) {
        exchange.url = url.text();
        const HttpResponse response = transport.send(exchange, stop);
        if (response.status == 200) {
            return {.last_modified = response.headers.find("Last-Modified").and_then([](const std::string& value) {
                        return parse_http_date(value);
                    }),
                    .size = bounded.size()};
        }
        const auto location = response.headers.find("Location");
        if (!is_redirect(response.status) || !location) throw_status(response, url);
        if (redirects == kMaxRedirects) {
            throw failed(
                fmt::format("cannot download {}: more than {} redirects", util::quote(url.redacted()), kMaxRedirects));
        }
        Url next = follow(url, *location);
        if (next.origin() != url.origin()) exchange.headers.remove("Authorization");
        url = std::move(next);
    }
}

// Two digits at `at`; nothing if they are none.
std::optional<unsigned> digits(std::string_view text, std::size_t at, std::size_t count) {
    const auto number = util::parse_number(text.substr(at, count));
    return number ? std::optional(static_cast<unsigned>(*number)) : std::nullopt;
}

}  // namespace

std::optional<std::int64_t> parse_http_date(std::string_view text) {
    constexpr std::string_view kForm = "Sun, 06 Nov 1994 08:49:37 GMT";
    constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    if (text.size() != kForm.size() || !text.ends_with(" GMT") || text.substr(3, 2) != ", ") return std::nullopt;
    const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
    const auto day = digits(text, 5, 2);
    const auto year = digits(text, 12, 4);
    const auto hour = digits(text, 17, 2);
    const auto minute = digits(text, 20, 2);
    const auto second = digits(text, 23, 2);
    if (month == kMonths.end() || !day || !year || !hour || !minute || !second) return std::nullopt;
    if (*hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                           std::chrono::month(static_cast<unsigned>(month - kMonths.begin()) + 1),
                                           std::chrono::day(*day)};
    if (!date.ok()) return std::nullopt;
    const auto time = std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
                      std::chrono::seconds(*second);
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

Downloaded download(HttpTransport& transport, const RetryPolicy& retry, const DownloadRequest& request,
                    const std::function<util::Sink&()>& begin, std::stop_token stop) {
    Downloaded out;
    try {
        with_retries(retry, stop, [&] { out = attempt(transport, request, begin(), stop); });
    } catch (const RegistryError& error) {
        // The way to it, told by the transport in its own words; for whoever asked it is a source all the same.
        throw failed(error.what(), error.hint());
    }
    return out;
}

}  // namespace imgbuild::registry
