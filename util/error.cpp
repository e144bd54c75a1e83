#include <imgbuild/error.hpp>

#include "util/assert.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace imgbuild {
namespace {

ErrorInfo info_of(std::shared_ptr<const SourceFile> file, const std::vector<Diagnostic>& diagnostics) {
    const auto first = std::find_if(diagnostics.begin(), diagnostics.end(),
                                    [](const Diagnostic& d) { return d.severity == Severity::error; });
    IMGBUILD_ASSERT(first != diagnostics.end());
    return {.code = first->code,
            .message = first->message,
            .hint = first->hint,
            .where = SourceSpan{.file = std::move(file), .span = first->span}};
}

std::string code_of(int error_number) {
    switch (error_number) {
        case ENOSPC:
        case EDQUOT:
            return "resources.disk-full";
        case ENOMEM:
            return "resources.memory";
        case EMFILE:
        case ENFILE:
            return "resources.descriptors";
        case ENOENT:
            return "io.not-found";
        case EACCES:
        case EPERM:
        case EROFS:
            return "io.permission";
        default:
            return "io.failed";
    }
}

// Where nobody knows better. What lies in the store can be made again, so that is where room is.
std::string hint_of(int error_number) {
    if (error_number != ENOSPC && error_number != EDQUOT) return {};
    return "make room there; what the store takes tells `imgbuild du`, and `imgbuild prune` removes what nobody needs";
}

std::string io_message(const std::string& operation, const std::string& path, int error_number) {
    const char* reason = strerrordesc_np(error_number);
    const std::string why = reason != nullptr ? reason : fmt::format("error {}", error_number);
    return path.empty() ? fmt::format("{}: {}", operation, why)
                        : fmt::format("{} {}: {}", operation, util::quote(path), why);
}

}  // namespace

Error::Error(ErrorInfo info) : info_(std::move(info)) {
    compose();
}

void Error::compose() {
    what_.clear();
    for (const std::string& frame : frames_) what_ += frame + ": ";
    what_ += info_.message;
}

void Error::add_frame(std::string frame) {
    frames_.insert(frames_.begin(), std::move(frame));
    compose();
}

void Error::locate(SourceSpan where) {
    if (!info_.where) info_.where = std::move(where);
}

ParseError::ParseError(std::shared_ptr<const SourceFile> file, std::vector<Diagnostic> diagnostics)
    : Error(info_of(std::move(file), diagnostics)), diagnostics_(std::move(diagnostics)) {}

IoError::IoError(const std::string& operation, const std::string& path, int error_number, std::string hint)
    : Error({.code = code_of(error_number),
             .message = io_message(operation, path, error_number),
             .hint = hint.empty() ? hint_of(error_number) : std::move(hint),
             .where = {}}),
      error_number_(error_number) {}

CorruptData::CorruptData(std::string what, std::string expected, std::string actual)
    : Error({.code = "corrupt.mismatch",
             .message = fmt::format("{} is corrupt: expected {}, got {}", what, expected, actual),
             .hint = {},
             .where = {}}) {}

RegistryError::RegistryError(ErrorInfo info, int status, Retry retry)
    : Error(std::move(info)), status_(status), retry_(retry) {}

StepFailed::StepFailed(ErrorInfo info, int exit_code, std::string log_tail, std::string log_path)
    : Error(std::move(info)), exit_code_(exit_code), log_tail_(std::move(log_tail)), log_path_(std::move(log_path)) {}

Cancelled::Cancelled()
    : Error({.code = "cancelled.interrupted", .message = "the build was stopped", .hint = {}, .where = {}}) {}

}  // namespace imgbuild
