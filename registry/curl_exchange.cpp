#include "registry/curl_exchange.hpp"

#include <imgbuild/error.hpp>

#include "registry/curl_errors.hpp"
#include "registry/url.hpp"
#include "util/defer.hpp"
#include "util/fd.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <unistd.h>
#include <array>
#include <cstring>
#include <exception>
#include <new>

namespace imgbuild::registry {
namespace {

constexpr long kBufferBytes = 256L << 10;
constexpr int kLongestPollMs = 60'000;

[[noreturn]] void throw_bad_answer(std::string_view attempt, std::string_view why) {
    throw RegistryError({.code = "registry.bad-answer",
                         .message = fmt::format("{}: {}", attempt, why),
                         .hint = "is this really a registry?",
                         .where = {}},
                        0, RegistryError::Retry::no);
}

// What the callbacks need, and where they leave exceptions: those must not pass through libcurl's frames.
class Exchange {
public:
    Exchange(const HttpRequest& request, std::string attempt) : request_(request), attempt_(std::move(attempt)) {}

    static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) {
        return static_cast<Exchange*>(self)->guarded(size, 0, [&](Exchange& exchange) {
            exchange.take_header(std::string_view(data, size));
            return size;
        });
    }

    static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) {
        return static_cast<Exchange*>(self)->guarded(size, 0, [&](Exchange& exchange) {
            exchange.take_body(std::string_view(data, size));
            return exchange.enough_ ? 0 : size;
        });
    }

    static std::size_t on_read(char* data, std::size_t unit, std::size_t count, void* self) {
        return static_cast<Exchange*>(self)->guarded(unit * count, CURL_READFUNC_ABORT, [&](Exchange& exchange) {
            return exchange.request_.body->read(std::as_writable_bytes(std::span(data, unit * count)));
        });
    }

    /// Nothing of the body can be sent again: we are told, and the exchange fails as broken.
    static int on_seek(void*, curl_off_t, int) { return CURL_SEEKFUNC_FAIL; }

    void rethrow_failure() const {
        if (failure_) std::rethrow_exception(failure_);
    }

    /// The body of a refusal was longer than anybody wants to know; the transfer was ended on purpose.
    bool has_enough() const { return enough_; }

    /// The headers are complete even if there was no body.
    HttpResponse finish() {
        if (!complete_) throw_bad_answer(attempt_, "the answer has no headers");
        return std::move(response_);
    }

    const std::string& attempt() const { return attempt_; }

private:
    template <class Body>
    std::size_t guarded(std::size_t size, std::size_t failure, Body body) {
        if (size == 0) return 0;
        try {
            return body(*this);
        } catch (...) {
            failure_ = std::current_exception();
            return failure;
        }
    }

    void take_header(std::string_view line) {
        if (complete_) return;  // trailers say nothing that we use
        header_bytes_ += line.size();
        if (header_bytes_ > kMaxHeaderBytes || response_.headers.entries().size() >= kMaxHeaderCount) {
            throw_bad_answer(attempt_, "the answer has too many headers");
        }
        line = util::trim(line, "\r\n");
        if (line.starts_with("HTTP/")) {
            begin_answer(line);
        } else if (line.empty()) {
            // 100 and its kin only announce the real answer.
            if (response_.status >= 200) complete_headers();
        } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
            response_.headers.add(std::string(line.substr(0, colon)), std::string(util::trim(line.substr(colon + 1))));
        }
    }

    void begin_answer(std::string_view line) {
        response_ = {};
        const std::string_view after = line.substr(std::min(line.find(' '), line.size() - 1) + 1);
        const auto status = util::parse_number(after.substr(0, 3));
        if (!status || *status < 100) throw_bad_answer(attempt_, "the answer has no status");
        response_.status = static_cast<int>(*status);
    }

    void complete_headers() {
        complete_ = true;
        if (request_.on_response) sink_ = request_.on_response(response_);
    }

    void take_body(std::string_view bytes) {
        if (sink_ != nullptr) {
            sink_->write(util::as_bytes(bytes));
            return;
        }
        const std::size_t room = request_.text_limit - response_.text.size();
        if (bytes.size() > room && response_.status < 300) {
            throw CorruptData(
                {.code = "corrupt.too-large",
                 .message = fmt::format("{}: the answer is larger than {} bytes", attempt_, request_.text_limit),
                 .hint = {},
                 .where = {}});
        }
        response_.text += bytes.substr(0, room);
        enough_ = bytes.size() > room;
    }

    const HttpRequest& request_;
    std::string attempt_;
    HttpResponse response_;
    util::Sink* sink_ = nullptr;
    std::size_t header_bytes_ = 0;
    bool complete_ = false;
    bool enough_ = false;
    std::exception_ptr failure_;
};

// The request's headers in libcurl's form.
class HeaderList {
public:
    HeaderList(const CurlLibrary& curl, const HttpRequest& request) : curl_(curl) {
        for (const Header& header : request.headers.entries()) add(header.name + ": " + header.value);
        // Waiting for "100 Continue" costs a second with servers that never send it.
        add("Expect:");
        if (!request.headers.find("Content-Type")) add("Content-Type:");
    }
    ~HeaderList() { curl_.slist_free_all(list_); }
    HeaderList(const HeaderList&) = delete;
    HeaderList& operator=(const HeaderList&) = delete;

    curl_slist* get() const { return list_; }

private:
    void add(const std::string& line) {
        curl_slist* const longer = curl_.slist_append(list_, line.c_str());
        if (longer == nullptr) throw std::bad_alloc();
        list_ = longer;
    }

    const CurlLibrary& curl_;
    curl_slist* list_ = nullptr;
};

// Sets options and turns a refusal into an exception; libcurl refuses what it was built without.
class OptionSetter {
public:
    OptionSetter(const CurlHandles& handles, const Exchange& exchange) : handles_(handles), exchange_(exchange) {}

    template <class Value>
    void operator()(CURLoption option, Value value) const {
        const CURLcode code = handles_.curl().easy_setopt(handles_.easy(), option, value);
        if (code != CURLE_OK) {
            throw_bad_answer(exchange_.attempt(),
                             fmt::format("the HTTP library cannot do it: {}", handles_.curl().easy_strerror(code)));
        }
    }

private:
    const CurlHandles& handles_;
    const Exchange& exchange_;
};

void set_policy(const OptionSetter& set, const CurlOptions& options, const Url& url) {
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_HTTP_CONTENT_DECODING, 0L);
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(options.connect_timeout.count()));
    set(CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(options.low_speed));
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.low_speed_time.count()));
    set(CURLOPT_BUFFERSIZE, kBufferBytes);
    set(CURLOPT_UPLOAD_BUFFERSIZE, kBufferBytes);
    set(CURLOPT_USERAGENT, options.user_agent.c_str());
    // A proxy could only reach its own loopback, never ours.
    if (is_loopback(url.host())) set(CURLOPT_NOPROXY, "*");
}

// The CAs that libcurl would take by itself.
std::string system_authorities(const CurlHandles& handles, const CurlOptions& options) {
    const char* path = options.ca_file.c_str();
    if (options.ca_file.empty() && handles.curl().easy_getinfo(handles.easy(), CURLINFO_CAINFO, &path) != CURLE_OK) {
        return {};
    }
    constexpr std::size_t kMaxBytes = 16U << 20;
    if (path == nullptr || ::access(path, R_OK) != 0) return {};
    return util::read_file(path, kMaxBytes) + "\n";
}

void set_certificates(const OptionSetter& set, const CurlHandles& handles, const CurlOptions& options,
                      const Certificates& certificates) {
    if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());
    if (!options.ca_directory.empty()) set(CURLOPT_CAPATH, options.ca_directory.c_str());
    if (!certificates.authorities.empty()) {
        // A blob stands in place of the file, so it has to hold that as well; directories count besides.
        std::string all = system_authorities(handles, options) + certificates.authorities;
        curl_blob blob{.data = all.data(), .len = all.size(), .flags = CURL_BLOB_COPY};
        set(CURLOPT_CAINFO_BLOB, &blob);
    }
    if (certificates.client_certificate.empty()) return;
    set(CURLOPT_SSLCERT, certificates.client_certificate.c_str());
    set(CURLOPT_SSLKEY, certificates.client_key.c_str());
}

// A text that comes in drops must not hold us for days; streams are guarded by their speed alone.
void set_longest_time(const OptionSetter& set, const HttpRequest& request, const CurlOptions& options) {
    if (request.body != nullptr || request.on_response) return;
    set(CURLOPT_TIMEOUT, static_cast<long>(options.longest_text.count()));
}

void set_method(const OptionSetter& set, const HttpRequest& request) {
    if (request.body != nullptr) {
        set(CURLOPT_UPLOAD, 1L);
        set(CURLOPT_INFILESIZE_LARGE, request.body_size ? static_cast<curl_off_t>(*request.body_size) : curl_off_t{-1});
    } else if (request.method == "HEAD") {
        set(CURLOPT_NOBODY, 1L);
        return;
    } else if (request.method != "GET") {
        // An empty body with "Content-Length: 0", which servers want to see.
        set(CURLOPT_POSTFIELDS, "");
        set(CURLOPT_POSTFIELDSIZE, 0L);
    }
    set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

void set_callbacks(const OptionSetter& set, Exchange& exchange) {
    set(CURLOPT_HEADERFUNCTION, &Exchange::on_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&exchange));
    set(CURLOPT_WRITEFUNCTION, &Exchange::on_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&exchange));
    set(CURLOPT_READFUNCTION, &Exchange::on_read);
    set(CURLOPT_READDATA, static_cast<void*>(&exchange));
    set(CURLOPT_SEEKFUNCTION, &Exchange::on_seek);
}

void check_multi(const CurlLibrary& curl, CURLMcode code, const Exchange& exchange) {
    if (code != CURLM_OK) throw_bad_answer(exchange.attempt(), curl.multi_strerror(code));
}

// Drives the transfer to its end and returns how it ended.
CURLcode drive(const CurlHandles& handles, const Exchange& exchange, const std::stop_token& stop) {
    const CurlLibrary& curl = handles.curl();
    const std::stop_callback wake(stop, [&] { curl.multi_wakeup(handles.multi()); });
    for (;;) {
        int running = 0;
        check_multi(curl, curl.multi_perform(handles.multi(), &running), exchange);
        if (stop.stop_requested()) throw Cancelled();
        int left = 0;
        while (const CURLMsg* const message = curl.multi_info_read(handles.multi(), &left)) {
            if (message->msg == CURLMSG_DONE) return message->data.result;
        }
        check_multi(curl, curl.multi_poll(handles.multi(), nullptr, 0, kLongestPollMs, nullptr), exchange);
    }
}

}  // namespace

CurlHandles::CurlHandles(const CurlLibrary& curl)
    : curl_(&curl), multi_(curl.multi_init(), MultiCleanup{&curl}), easy_(curl.easy_init(), EasyCleanup{&curl}) {
    if (multi_ == nullptr || easy_ == nullptr) throw std::bad_alloc();
}

HttpResponse run_curl_exchange(CurlHandles& handles, const HttpRequest& request, const CurlOptions& options,
                               const Certificates& certificates, std::stop_token stop) {
    const CurlLibrary& curl = handles.curl();
    const Url url = parse_url(request.url);
    Exchange exchange(request, fmt::format("{} {}", request.method, url.redacted()));
    std::array<char, CURL_ERROR_SIZE> detail{};
    const HeaderList headers(curl, request);

    curl.easy_reset(handles.easy());
    // The handle must forget our stack before it goes back to the pool.
    const util::Defer forget([&] { curl.easy_reset(handles.easy()); });
    const OptionSetter set(handles, exchange);
    set_policy(set, options, url);
    if (url.scheme == "https") set_certificates(set, handles, options, certificates);
    set_longest_time(set, request, options);
    set_method(set, request);
    set_callbacks(set, exchange);
    const std::string text = url.text();
    set(CURLOPT_URL, text.c_str());
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_ERRORBUFFER, detail.data());

    check_multi(curl, curl.multi_add_handle(handles.multi(), handles.easy()), exchange);
    const util::Defer remove([&] { curl.multi_remove_handle(handles.multi(), handles.easy()); });
    const CURLcode code = drive(handles, exchange, stop);
    exchange.rethrow_failure();
    if (code != CURLE_OK && !exchange.has_enough()) {
        const char* const sentence = detail[0] != '\0' ? detail.data() : curl.easy_strerror(code);
        throw_curl_error(code, exchange.attempt(), url.host(), sentence);
    }
    return exchange.finish();
}

}  // namespace imgbuild::registry
