#include "builder/ops/step_log.hpp"

#include "util/text.hpp"

#include <fcntl.h>

namespace imgbuild::builder {
namespace {

constexpr std::size_t kTailBytes = 4096;
constexpr std::size_t kTailLines = 20;

}  // namespace

StepLog::StepLog(std::string path, const Work& work)
    : path_(std::move(path)), work_(work), file_(util::open_path(path_, O_WRONLY | O_CREAT | O_EXCL, 0600)) {}

void StepLog::output(sandbox::Stream stream, std::string_view bytes) {
    util::write_all(file_.get(), bytes, path_);
    tail_ += bytes;
    if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
    work_.progress.report(
        event::StepOutput{.number = work_.step, .is_stderr = stream == sandbox::Stream::err, .text = bytes});
}

std::string StepLog::tail() const {
    std::string_view text = tail_;
    if (text.size() > kTailBytes) text.remove_prefix(text.size() - kTailBytes);
    while (text.ends_with('\n')) text.remove_suffix(1);
    std::size_t begin = text.size();
    for (std::size_t lines = 0; lines < kTailLines && begin != 0; ++lines) {
        const std::size_t newline = begin < 2 ? std::string_view::npos : text.rfind('\n', begin - 2);
        begin = newline == std::string_view::npos ? 0 : newline + 1;
    }
    return std::string(text.substr(begin));
}

}  // namespace imgbuild::builder
