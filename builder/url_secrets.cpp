#include "builder/url_secrets.hpp"

#include <imgbuild/error.hpp>

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>

namespace imgbuild::builder {
namespace {

// More than servers take of a header.
constexpr std::size_t kMaxHeaderBytes = std::size_t{16} << 10U;

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

std::optional<std::string> text_of(const Confidants& confidants, const std::string& id) {
    const std::optional<util::Fd> file = confidants.secret(id);
    if (!file) return std::nullopt;
    util::check(static_cast<int>(::lseek(file->get(), 0, SEEK_SET)), "rewind", "a secret");
    std::string text = util::read_all(file->get(), kMaxHeaderBytes, "the secret " + id);
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    if (!text.empty() && std::none_of(text.begin(), text.end(), is_control)) return text;
    throw Error(
        {.code = "source.bad-secret",
         .message = fmt::format("the secret {} is empty or has control characters, so no header can hold it", id),
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
