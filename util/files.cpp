#include "util/files.hpp"

#include <imgbuild/error.hpp>

#include "util/rooted_dir.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace imgbuild::util {

AtomicFile::AtomicFile(std::string path, mode_t mode) : path_(std::move(path)) {
    struct stat status {};
    if (::lstat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
        // "/dev/null" must not become a file. A directory fails here, and not only when all has been written.
        fd_ = open_path(path_, O_WRONLY | O_TRUNC | O_NOCTTY);
        return;
    }
    temporary_ = path_ + ".XXXXXX";
    fd_ = Fd(check(::mkostemp(temporary_.data(), O_CLOEXEC), "make a temporary file beside", path_));
    check(::fchmod(fd_.get(), mode), "set the mode of", temporary_);
}

AtomicFile::~AtomicFile() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view text) {
    write_all(fd_.get(), text, path_);
}

void AtomicFile::commit() {
    if (temporary_.empty()) return;
    check(::rename(temporary_.c_str(), path_.c_str()), "put into place", path_);
    temporary_.clear();
}

TempDir::TempDir(const std::string& parent, std::string_view prefix) {
    path_ = fmt::format("{}/{}XXXXXX", parent, prefix);
    if (::mkdtemp(path_.data()) == nullptr) throw IoError("make a temporary directory in", parent, errno);
}

TempDir::TempDir(TempDir&& other) noexcept : path_(std::exchange(other.path_, {})) {}

TempDir& TempDir::operator=(TempDir&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
}

TempDir::~TempDir() {
    if (path_.empty()) return;
    try {
        remove_all(path_);
    } catch (const Error&) {
        // What cannot be removed now is swept later by its name; a destructor has nobody to tell.
    }
}

std::string TempDir::release() {
    return std::exchange(path_, {});
}

namespace {

Fd lock_file(const std::string& path) {
    return open_path(path, O_RDWR | O_CREAT, 0600);
}

int lock_operation(FileLock::Kind kind) {
    return kind == FileLock::Kind::shared ? LOCK_SH : LOCK_EX;
}

}  // namespace

FileLock FileLock::acquire(const std::string& path, Kind kind) {
    Fd fd = lock_file(path);
    int result;
    do {
        result = ::flock(fd.get(), lock_operation(kind));
    } while (result < 0 && errno == EINTR);
    check(result, "lock", path);
    return FileLock(std::move(fd));
}

std::optional<FileLock> FileLock::try_acquire(const std::string& path, Kind kind) {
    Fd fd = lock_file(path);
    if (::flock(fd.get(), lock_operation(kind) | LOCK_NB) == 0) return FileLock(std::move(fd));
    if (errno == EWOULDBLOCK) return std::nullopt;
    throw IoError("lock", path, errno);
}

void make_directories(const std::string& path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) throw IoError("make the directory", path, error.value());
}

void remove_all(const std::string& path) {
    const std::filesystem::path full(path);
    const std::string parent = full.parent_path().empty() ? "." : full.parent_path().string();
    const int fd = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return;
    const Fd directory(check(fd, "open", parent));
    remove_tree(directory.get(), full.filename().string());
}

}  // namespace imgbuild::util
