// Contexts and build files that are no directory: standard input and URLs.
#pragma once

#include <imgbuild/error.hpp>

#include "builder/context/archive_context.hpp"
#include "cli/app_context.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace imgbuild::cli {

/// More than any build file has.
inline constexpr std::uint64_t kLargestBuildFile = 16U << 20;

/// A stream is a tar, which is the context, or it is the build file of a build without one.
struct StreamContext {
    std::shared_ptr<const builder::ArchiveContext> context;
    /// Absent if the stream is a tar.
    std::shared_ptr<const SourceFile> file;
};

bool is_url(const std::string& text);

/// "-" or a URL. Kept in a file of the store that has no name and goes with the process.
/// Throws Error ("source.…"), UsageError ("usage.no-context") for standard input that is a terminal or empty.
StreamContext read_stream_context(const std::string& where, AppContext& context);

/// A build file behind a URL.
std::shared_ptr<const SourceFile> download_build_file(const std::string& url, AppContext& context);

}  // namespace imgbuild::cli
