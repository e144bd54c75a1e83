#include "cli/stream_context.hpp"

#include "builder/context/url_tree.hpp"
#include "layers/archive_reader.hpp"
#include "registry/download.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>

namespace imgbuild::cli {
namespace {

// More than any context has that somebody waits for.
constexpr std::uint64_t kLargestContext = std::uint64_t{64} << 30;

// A file without a name, beside the other things under way.
util::Fd open_unnamed(const std::string& directory) {
    util::Fd fd(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (fd) return fd;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) throw IoError("make a file in", directory, errno);
    std::string path = directory + "/stream-XXXXXX";
    fd = util::Fd(util::check(::mkostemp(path.data(), O_CLOEXEC), "make", path));
    util::check(::unlink(path.c_str()), "unlink", path);
    return fd;
}

util::Fd keep_stdin(AppContext& context) {
    util::Fd out = open_unnamed(context.store().root() + "/tmp");
    util::FdSource input(STDIN_FILENO, "standard input");
    util::LimitedSource bounded(input, kLargestContext, "source.too-large", "the context on standard input");
    util::FdSink sink(out.get(), "the context");
    if (util::copy(bounded, sink) > 0) return out;
    throw UsageError({.code = "usage.no-context",
                      .message = "standard input is empty, and '-' says that it is the context",
                      .hint = "give a tar or a build file, or name a directory",
                      .where = {}});
}

util::Fd keep_url(const std::string& url, AppContext& context) {
    util::Fd out = open_unnamed(context.store().root() + "/tmp");
    util::FdSink sink(out.get(), "the context");
    static_cast<void>(registry::download(
        context.registry().transport(), context.registry().retry(),
        {.url = url, .authorization = {}, .limit = kLargestContext},
        [&]() -> util::Sink& {
            util::check(::ftruncate(out.get(), 0), "empty", "the context");
            util::check(static_cast<int>(::lseek(out.get(), 0, SEEK_SET)), "rewind", "the context");
            return sink;
        },
        context.stop()));
    return out;
}

void rewind(const util::Fd& fd) {
    util::check(static_cast<int>(::lseek(fd.get(), 0, SEEK_SET)), "rewind", "the context");
}

}  // namespace

bool is_url(const std::string& text) {
    return text.starts_with("http://") || text.starts_with("https://");
}

StreamContext read_stream_context(const std::string& where, AppContext& context) {
    const std::string name =
        where == "-" ? "on standard input" : util::quote(builder::parse_source_url(where).redacted());
    util::Fd stream = where == "-" ? keep_stdin(context) : keep_url(where, context);
    rewind(stream);
    util::FdSource head(stream.get(), name);
    const bool is_tar = layers::looks_like_archive(head);
    rewind(stream);
    if (is_tar)
        return {.context = std::make_shared<const builder::ArchiveContext>(std::move(stream), name), .file = {}};
    SourceFile file{.name = where == "-" ? "standard input" : builder::parse_source_url(where).redacted(),
                    .text = util::read_all(stream.get(), kLargestBuildFile, "the build file")};
    return {.context = std::make_shared<const builder::ArchiveContext>(),
            .file = std::make_shared<const SourceFile>(std::move(file))};
}

std::shared_ptr<const SourceFile> download_build_file(const std::string& url, AppContext& context) {
    util::StringSink text;
    static_cast<void>(registry::download(
        context.registry().transport(), context.registry().retry(),
        {.url = url, .authorization = {}, .limit = kLargestBuildFile},
        [&]() -> util::Sink& {
            text = {};
            return text;
        },
        context.stop()));
    SourceFile file{.name = builder::parse_source_url(url).redacted(), .text = text.take()};
    return std::make_shared<const SourceFile>(std::move(file));
}

}  // namespace imgbuild::cli
