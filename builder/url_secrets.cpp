#include "builder/url_secrets.hpp"

#include <imgbuild/error.hpp>

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>
#include <cerrno>

namespace imgbuild::builder {
namespace {

// More than servers take of a header.
constexpr std::size_t kMaxHeaderBytes = std::size_t{16} << 10U;

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// Other threads may read through the same open file, whose position is theirs as well.
std::string read_from_start(int file, const std::string& id) {
    std::string out(kMaxHeaderBytes + 1, '\0');
    std::size_t size = 0;
    while (size < out.size()) {
        const ssize_t n = ::pread(file, out.data() + size, out.size() - size, static_cast<off_t>(size));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw IoError("read", "the secret " + id, errno);
        if (n == 0) break;
        size += static_cast<std::size_t>(n);
    }
    out.resize(size);
    return out;
}

std::optional<std::string> text_of(const Confidants& confidants, const std::string& id) {
    const std::optional<util::Fd> file = confidants.secret(id);
    if (!file) return std::nullopt;
    std::string text = read_from_start(file->get(), id);
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    if (!text.empty() && text.size() <= kMaxHeaderBytes && std::none_of(text.begin(), text.end(), is_control))
        return text;
    throw Error({.code = "source.bad-secret",
                 .message = fmt::format(
                     "the secret {} is empty, too long or has control characters, so no header can hold it", id),
                 .hint = "give the value alone, on one line",
                 .where = {}});
}

}  // namespace

std::optional<std::string> url_authorization(const Confidants& confidants, const registry::Url& url) {
    if (!confidants.secret) return std::nullopt;
    for (const std::string& host : {url.authority, url.host()}) {
        if (auto header = text_of(confidants, "HTTP_AUTH_HEADER_" + host)) return header;
        if (auto token = text_of(confidants, "HTTP_AUTH_TOKEN_" + host)) return "Bearer " + *token;
    }
    return std::nullopt;
}

}  // namespace imgbuild::builder
