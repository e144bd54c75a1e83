#include "builder/context/directory_memory.hpp"

#include "layers/fingerprint.hpp"
#include "util/clock.hpp"

#include <sys/stat.h>

namespace imgbuild::builder {

std::optional<Digest> DirectoryMemory::Visit::recall(std::string_view name, const layers::FileFingerprint& file) {
    auto content = known_.find(name, file);
    if (!content) has_gaps_ = true;
    return content;
}

DirectoryMemory::Visit DirectoryMemory::visit(int directory, const std::string& path) {
    struct stat status {};
    util::check(::fstat(directory, &status), "look at", path);
    return {status.st_dev, status.st_ino, util::now_ns(), store_.find_directory(status.st_dev, status.st_ino)};
}

void DirectoryMemory::expect(const std::string& path, const Visit& visit, const std::vector<SourceFileInfo>& children) {
    const std::lock_guard lock(mutex_);
    // Two instructions may look at it at the same time, each for its own files, and both are right.
    Expected& directory =
        expected_
            .try_emplace(path, Expected{.device = visit.device_, .inode = visit.inode_, .begun_at = visit.begun_at_})
            .first->second;
    for (const SourceFileInfo& child : children) {
        if (child.content) note(directory, child, *child.content);
    }
}

void DirectoryMemory::note(Expected& directory, const SourceFileInfo& file, const Digest& content) {
    if (file.seen->device != directory.device) return;
    directory.files.insert_or_assign(std::string(layers::base_name(file.entry.path)), std::pair(*file.seen, content));
}

layers::KnownDirectory DirectoryMemory::record_of(const Expected& directory) {
    layers::KnownFilesWriter writer;
    for (const auto& [name, file] : directory.files) writer.add(name, file.first, file.second);
    return {.device = directory.device, .inode = directory.inode, .files = writer.take()};
}

void DirectoryMemory::learn(const std::vector<const SourceFileInfo*>& files, const std::vector<Digest>& contents) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < files.size(); ++i) {
        const SourceFileInfo& file = *files[i];
        if (file.content || !file.seen || !file.entry.xattrs.empty() || file.entry.path.empty()) continue;
        const auto directory = expected_.find(layers::parent_path(file.entry.path));
        if (directory == expected_.end()) continue;
        // Its attributes were read at some time after the visit began, its contents later still.
        if (!layers::would_show_a_change(*file.seen, directory->second.begun_at)) continue;
        note(directory->second, file, contents[i]);
        directory->second.has_news = true;
    }
    std::vector<layers::KnownDirectory> news;
    for (auto& [path, directory] : expected_) {
        if (std::exchange(directory.has_news, false)) news.push_back(record_of(directory));
    }
    if (!news.empty()) store_.remember_directories(news);
}

}  // namespace imgbuild::builder
