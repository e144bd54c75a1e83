// What the directories of a context held in earlier builds (layers/known_files.hpp), and what is learnt of them in this
// one.
//
//     DirectoryMemory::Visit visit = memory.visit(fd);
//     for (each file, in the order of names) content = visit.recall(name, fingerprint);
//     if (visit.has_gaps()) memory.expect(directory, visit, children);
//     …                                                          // somebody reads what was not known
//     memory.learn(files, digests);
//
// May be used from several threads; a Visit is one thread's.
#pragma once

#include "builder/context/source_tree.hpp"
#include "layers/known_files.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgbuild::builder {

class DirectoryMemory {
public:
    /// One listing of one directory.
    class Visit {
    public:
        /// The contents of a regular file, which then has no attributes either. In the order of names.
        std::optional<Digest> recall(std::string_view name, const layers::FileFingerprint& file);
        /// Was a file not known?
        bool has_gaps() const { return has_gaps_; }

    private:
        friend class DirectoryMemory;
        Visit(std::uint64_t device, std::uint64_t inode, std::int64_t begun_at, std::string files)
            : device_(device), inode_(inode), begun_at_(begun_at), known_(device, std::move(files)) {}

        std::uint64_t device_;
        std::uint64_t inode_;
        std::int64_t begun_at_;
        layers::KnownFiles known_;
        bool has_gaps_ = false;
    };

    /// The store must outlive this.
    explicit DirectoryMemory(layers::Store& store) : store_(store) {}

    /// `directory` is open. Everything that is to be remembered must be looked at afterwards.
    Visit visit(int directory, const std::string& path);
    /// That files of the directory are going to be learnt. `children`: what the visit saw, `content` where it recalled.
    void expect(const std::string& path, const Visit& visit, const std::vector<SourceFileInfo>& children);
    /// What files hold that `expect()` was told of; others, those that have attributes, and those that may still change
    /// unseen are not remembered.
    void learn(const std::vector<const SourceFileInfo*>& files, const std::vector<Digest>& contents);

private:
    struct Expected {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        /// Of the earliest visit.
        std::int64_t begun_at = 0;
        std::map<std::string, std::pair<layers::FileFingerprint, Digest>, std::less<>> files = {};
        bool has_news = false;
    };

    static void note(Expected& directory, const SourceFileInfo& file, const Digest& content);
    static layers::KnownDirectory record_of(const Expected& directory);

    layers::Store& store_;
    std::mutex mutex_;
    std::map<std::string, Expected, std::less<>> expected_;
};

}  // namespace imgbuild::builder
