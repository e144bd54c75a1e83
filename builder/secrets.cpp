#include "builder/secrets.hpp"

#include <imgbuild/error.hpp>

#include "util/defer.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>

namespace imgbuild::builder {
namespace {

util::Fd memory_file() {
    constexpr const char* kName = "imgbuild-secret";
    return util::Fd(util::check(::memfd_create(kName, MFD_CLOEXEC | MFD_ALLOW_SEALING), "make memory file", kName));
}

void seal(const util::Fd& file) {
    constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    util::check(::fcntl(file.get(), F_ADD_SEALS, kSeals), "seal", "a secret");
}

// Pipes, as a shell's <(command) makes them, and terminals.
std::size_t read_some(int to, int from, std::size_t limit, const std::string& path) {
    char buffer[4096];
    const util::Defer wipe([&buffer] { ::explicit_bzero(buffer, sizeof buffer); });
    while (true) {
        const ssize_t size = ::read(from, buffer, std::min(limit, sizeof buffer));
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) throw IoError("read the secret", path, errno);
        util::write_all(to, std::string_view(buffer, static_cast<std::size_t>(size)), "a secret");
        return static_cast<std::size_t>(size);
    }
}

// Within the kernel where it can, so that the value is never in memory of ours. 0 at the end.
std::size_t move_some(int to, int from, std::size_t limit, const std::string& path) {
    while (true) {
        const ssize_t sent = ::sendfile(to, from, nullptr, limit);
        if (sent >= 0) return static_cast<std::size_t>(sent);
        if (errno == EINVAL || errno == ESPIPE) return read_some(to, from, limit, path);
        if (errno != EINTR) throw IoError("read the secret", path, errno);
    }
}

Error too_large(const std::string& what) {
    return Error({.code = "source.secret-too-large",
                  .message = fmt::format("the secret {} has more than {} bytes", what, kMaxSecretBytes),
                  .hint = "a secret is a key or a password; larger files can be mounted with type=bind",
                  .where = {}});
}

}  // namespace

util::Fd secret_from_file(const std::string& path) {
    const util::Fd from = util::open_path(path, O_RDONLY);
    util::Fd out = memory_file();
    std::size_t size = 0;
    while (const std::size_t moved = move_some(out.get(), from.get(), kMaxSecretBytes + 1 - size, path)) {
        size += moved;
        if (size > kMaxSecretBytes) throw too_large(util::quote(path));
    }
    seal(out);
    return out;
}

util::Fd secret_from_text(std::string_view value) {
    if (value.size() > kMaxSecretBytes) throw too_large("of a variable");
    util::Fd out = memory_file();
    util::write_all(out.get(), value, "a secret");
    seal(out);
    return out;
}

}  // namespace imgbuild::builder
