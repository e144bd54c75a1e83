#include "builder/context/url_tree.hpp"

#include <imgbuild/error.hpp>

#include "registry/download.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <charconv>

namespace imgbuild::builder {
namespace {

// Far more than any file that belongs into an image; a server that never ends must not fill the disk.
constexpr std::uint64_t kMaxBytes = std::uint64_t{64} << 30;

// Tells how far the download is; the body's length is not known to be true, so no total is told.
class ReportingSink final : public util::Sink {
public:
    ReportingSink(util::Sink& next, const Work& work, std::string what)
        : next_(next), work_(work), what_(std::move(what)) {}

    void write(std::span<const std::byte> bytes) override {
        constexpr std::uint64_t kInterval = 512U << 10;
        next_.write(bytes);
        done_ += bytes.size();
        if (done_ - reported_ < kInterval) return;
        reported_ = done_;
        work_.progress.report(event::StepTransfer{.number = work_.step, .what = what_, .done = done_, .total = 0});
    }

private:
    util::Sink& next_;
    const Work& work_;
    std::string what_;
    std::uint64_t done_ = 0;
    std::uint64_t reported_ = 0;
};

// What one try wrote: a broken try leaves nothing for the next.
struct Attempt {
    Attempt(int fd, const std::string& path, const Work& work, const std::string& what)
        : file(fd, path), hash(&file), told(hash, work, what) {}

    util::FdSink file;
    util::HashingSink hash;
    ReportingSink told;
};

}  // namespace

registry::Url parse_source_url(const std::string& text) {
    try {
        return registry::parse_url(text);
    } catch (const RegistryError& error) {
        throw Error({.code = "source.bad-url", .message = error.message(), .hint = error.hint(), .where = {}});
    }
}

std::string name_of_url(const std::string& url) {
    const std::string path = parse_source_url(url).path;
    std::string decoded;
    for (std::size_t i = 0; i < path.size(); ++i) {
        unsigned value = 0;
        const char* begin = path.data() + i + 1;
        const bool escaped =
            path[i] == '%' && i + 2 < path.size() && std::from_chars(begin, begin + 2, value, 16).ptr == begin + 2;
        decoded += escaped ? static_cast<char>(value) : path[i];
        if (escaped) i += 2;
    }
    while (decoded.ends_with('/')) decoded.pop_back();
    const std::string name = decoded.substr(decoded.rfind('/') + 1);
    const bool unusable = name.empty() || name == "." || name == ".." || name.contains('\0');
    return unusable ? "__unnamed__" : name;
}

UrlTree::UrlTree(UrlFile what, layers::Lease& lease, UrlAccess access)
    : what_(std::move(what)), lease_(lease), access_(std::move(access)) {}

void UrlTree::prepare(const Work& work) const {
    const std::lock_guard lock(mutex_);
    if (!tree_) fetch(work);
}

void UrlTree::fetch(const Work& work) const {
    const registry::Url url = parse_source_url(what_.url);
    registry::DownloadRequest request{.url = what_.url, .authorization = {}, .limit = kMaxBytes};
    if (access_.authorization) request.authorization = access_.authorization(url);

    layers::UnfinishedLayer place = lease_.begin_layer();
    const util::RootedDir directory = util::RootedDir::open(place.tree());
    const util::Fd file = directory.open_file(what_.name, O_WRONLY | O_CREAT | O_EXCL, util::Follow::no, 0600);
    std::optional<Attempt> attempt;
    const auto begin = [&]() -> util::Sink& {
        util::check(::ftruncate(file.get(), 0), "empty", what_.name);
        util::check(static_cast<int>(::lseek(file.get(), 0, SEEK_SET)), "rewind", what_.name);
        attempt.emplace(file.get(), what_.name, work, "download " + what_.name);
        return attempt->told;
    };
    const registry::Downloaded got = registry::download(access_.transport, access_.retry, request, begin, work.stop);
    if (what_.checksum && attempt->hash.digest() != *what_.checksum) {
        throw Error({.code = "source.checksum",
                     .message = fmt::format("{} has the checksum {}, and {} was asked for", util::quote(url.redacted()),
                                            attempt->hash.digest().text(), what_.checksum->text()),
                     .hint = "look at what the server sends now before you change --checksum",
                     .where = {}});
    }
    util::check(::fchmod(file.get(), 0600), "set the mode of", what_.name);
    if (got.last_modified) {
        const timespec time{.tv_sec = *got.last_modified, .tv_nsec = 0};
        const timespec times[2] = {time, time};
        util::check(::futimens(file.get(), times), "set the time of", what_.name);
    }
    has_time_ = got.last_modified.has_value();
    tree_ = std::make_unique<const LocalTree>(directory.duplicate(), parser::IgnoreMatcher(), "");
    place_ = std::move(place);
}

std::optional<Digest> UrlTree::identity() const {
    if (!what_.checksum) return std::nullopt;
    return util::Sha256::of(fmt::format("url-file\n{}\n{}", what_.name, what_.checksum->text()));
}

bool UrlTree::keeps_times() const {
    return has_time_ && !what_.checksum;
}

}  // namespace imgbuild::builder
