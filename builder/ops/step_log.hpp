// The whole output of a step, on disk and to whoever watches; never cut (PAINS C9).
#pragma once

#include "builder/sandbox/sandbox.hpp"
#include "builder/work.hpp"
#include "util/fd.hpp"

#include <string>
#include <string_view>

namespace imgbuild::builder {

class StepLog final : public sandbox::OutputSink {
public:
    /// `path`: the file to write, which must not exist yet.
    StepLog(std::string path, const Work& work);

    void output(sandbox::Stream stream, std::string_view bytes) override;

    const std::string& path() const { return path_; }
    /// The last lines of the output, at most 20 and 4 KiB.
    std::string tail() const;

private:
    std::string path_;
    const Work& work_;
    util::Fd file_;
    std::string tail_;
};

}  // namespace imgbuild::builder
