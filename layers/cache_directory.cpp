#include "layers/cache_directory.hpp"

#include <imgbuild/error.hpp>

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <optional>

namespace imgbuild::layers {
namespace {

using util::FileLock;

void ensure_directory(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) == 0) {
        util::check(::chmod(path.c_str(), mode), "set the mode of", path);
    } else if (errno != EEXIST) {
        throw IoError("make the directory", path, errno);
    }
}

bool exists(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0) return true;
    if (errno != ENOENT) throw IoError("look at", path, errno);
    return false;
}

// As with claims: a wait in flock() cannot be stopped, so we try again and again.
class Patience {
public:
    Patience(const std::function<void()>& waiting, std::stop_token stop) : waiting_(waiting), stop_(std::move(stop)) {}

    void wait() {
        constexpr std::chrono::milliseconds kLongest{100};
        if (!told_ && waiting_) waiting_();
        told_ = true;
        std::unique_lock lock(mutex_);
        stopped_.wait_for(lock, stop_, pause_, [] { return false; });
        if (stop_.stop_requested()) throw Cancelled();
        pause_ = std::min(2 * pause_, kLongest);
    }

private:
    const std::function<void()>& waiting_;
    std::stop_token stop_;
    std::mutex mutex_;
    std::condition_variable_any stopped_;
    std::chrono::milliseconds pause_{1};
    bool told_ = false;
};

class Acquisition {
public:
    Acquisition(const std::string& root, const CacheRequest& request, std::stop_token stop)
        : request_(request),
          top_(root + "/mounts/" + request.identity.hex()),
          patience_(request.waiting, std::move(stop)) {}

    std::pair<std::string, FileLock> run() {
        ensure_directory(top_, 0700);
        if (!exists(top_ + "/id")) {
            util::AtomicFile about(top_ + "/id");
            about.write(request_.name + "\n");
            about.commit();
        }
        return request_.sharing == CacheSharing::exclusive ? first_free() : directory_zero();
    }

private:
    std::string directory(unsigned number) const {
        std::string path = fmt::format("{}/{}", top_, number);
        ensure_directory(path, 0700);
        return path;
    }

    std::pair<std::string, FileLock> first_free() {
        for (unsigned number = 0;; ++number) {
            const std::string path = directory(number);
            if (auto lock = FileLock::try_acquire(path + "/lock", FileLock::Kind::exclusive)) {
                ensure_data(path);
                return {path + "/data", std::move(*lock)};
            }
        }
    }

    std::pair<std::string, FileLock> directory_zero() {
        const std::string path = directory(0);
        const auto kind = request_.sharing == CacheSharing::shared ? FileLock::Kind::shared : FileLock::Kind::exclusive;
        while (true) {
            if (auto lock = FileLock::try_acquire(path + "/lock", kind)) {
                if (kind == FileLock::Kind::exclusive) ensure_data(path);
                if (exists(path + "/data")) return {path + "/data", std::move(*lock)};
            } else {
                patience_.wait();
                continue;
            }
            // Two may hold it as shared ones, and only one may fill it.
            if (auto maker = FileLock::try_acquire(path + "/lock", FileLock::Kind::exclusive)) {
                ensure_data(path);
            } else {
                patience_.wait();
            }
        }
    }

    void ensure_data(const std::string& path) const {
        const std::string data = path + "/data";
        if (exists(data)) return;
        util::TempDir unfinished(path, "new-");
        util::check(::chmod(unfinished.path().c_str(), 0755), "set the mode of", unfinished.path());
        request_.fill(unfinished.path());
        util::check(std::rename(unfinished.path().c_str(), data.c_str()), "put into place", data);
        unfinished.release();
    }

    const CacheRequest& request_;
    std::string top_;
    Patience patience_;
};

}  // namespace

CacheDirectory CacheDirectory::acquire(const std::string& root, const CacheRequest& request, std::stop_token stop) {
    if (stop.stop_requested()) throw Cancelled();
    auto [path, lock] = Acquisition(root, request, std::move(stop)).run();
    // By the lock's time a clean-up sees what has not been used for long.
    const std::string lock_path = path.substr(0, path.size() - std::string_view("data").size()) + "lock";
    util::check(::utimensat(AT_FDCWD, lock_path.c_str(), nullptr, 0), "set the time of", lock_path);
    return {std::move(path), std::move(lock)};
}

}  // namespace imgbuild::layers
