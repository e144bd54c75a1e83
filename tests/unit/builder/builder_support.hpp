// What the tests of the builder share: directories of the user's, build files lowered against images that exist
// nowhere, events that were reported.
#pragma once

#include <imgbuild/error.hpp>
#include <imgbuild/progress.hpp>

#include "builder/frontend/lower.hpp"
#include "builder/work.hpp"
#include "util/bytes.hpp"
#include "util/files.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <vector>

namespace imgbuild::builder::test {

/// A directory of the user's on the disk, empty at first. Paths are relative to it.
class Directory {
public:
    Directory() : directory_("/tmp", "imgbuild-test-") {}

    const std::string& path() const { return directory_.path(); }
    std::string at(const std::string& name) const { return path() + "/" + name; }
    /// Parents are made; what was there is replaced.
    void write(const std::string& name, const std::string& text, unsigned mode = 0644) const;
    void make_directory(const std::string& name, unsigned mode = 0755) const;
    void link(const std::string& name, const std::string& target) const;
    void hard_link(const std::string& name, const std::string& file) const;
    void set_time(const std::string& name, std::int64_t seconds) const;

private:
    util::TempDir directory_;
};

/// Keeps what was reported.
class Recorder final : public ProgressSink {
public:
    void report(const Event& event) noexcept override;

    /// "done RUN make", in the order in which steps ended.
    std::vector<std::string> endings() const;
    /// How many steps ended so.
    std::size_t count(StepOutcome outcome) const;
    /// Codes of the warnings.
    std::vector<std::string> warnings() const;
    /// Everything that commands wrote.
    std::string output() const;

private:
    mutable std::mutex mutex_;
    std::vector<event::StepFinished> finished_;
    std::vector<std::string> warnings_;
    std::string output_;
};

std::shared_ptr<const SourceFile> source_file(const std::string& text);

/// linux/amd64 for both platforms.
LowerOptions plain_options();

/// Images by the name that the file has; asking for another one is an Error with code "registry.not-found".
using Catalogue = std::map<std::string, oci::ImageConfig>;
/// An image with one layer.
oci::ImageConfig image_config(oci::RunConfig config = {});
ResolveImage resolver(Catalogue images);
/// Parses, requires validity and lowers.
Lowered lower_text(const std::string& text, const LowerOptions& options = plain_options(), Catalogue images = {});

/// The operation that the result's node is.
template <class T>
const T& result_op(const Lowered& lowered) {
    return std::get<T>(lowered.graph[lowered.result.value()].op);
}

/// What the error says of itself, for one CHECK. Line 0: it has no place.
struct Told {
    std::string code;
    std::uint32_t line = 0;
    friend bool operator==(const Told&, const Told&) = default;
};
std::ostream& operator<<(std::ostream& out, const Told& told);

/// Of the Error that leaves `body`; empty if none does.
template <class Body>
Told error_of(Body&& body) {
    try {
        body();
    } catch (const Error& error) {
        return {.code = error.code(), .line = error.where() ? error.where()->span.line : 0};
    }
    return {};
}
template <class Body>
std::string error_code(Body&& body) {
    return error_of(body).code;
}

}  // namespace imgbuild::builder::test
