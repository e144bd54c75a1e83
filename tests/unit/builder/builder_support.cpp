#include "tests/unit/builder/builder_support.hpp"

#include "parser/file.hpp"
#include "util/fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <algorithm>
#include <array>
#include <filesystem>

namespace imgbuild::builder::test {

void Directory::write(const std::string& name, const std::string& text, unsigned mode) const {
    std::filesystem::create_directories(std::filesystem::path(at(name)).parent_path());
    std::filesystem::remove(at(name));
    const util::Fd fd = util::open_path(at(name), O_WRONLY | O_CREAT | O_EXCL, 0600);
    util::write_all(fd.get(), text, name);
    util::check(::fchmod(fd.get(), mode), "set the mode of", name);
}

void Directory::make_directory(const std::string& name, unsigned mode) const {
    std::filesystem::create_directories(at(name));
    util::check(::chmod(at(name).c_str(), mode), "set the mode of", name);
}

void Directory::link(const std::string& name, const std::string& target) const {
    std::filesystem::create_symlink(target, at(name));
}

void Directory::hard_link(const std::string& name, const std::string& file) const {
    std::filesystem::create_hard_link(at(file), at(name));
}

void Directory::set_time(const std::string& name, std::int64_t seconds) const {
    const std::array<timespec, 2> times = {timespec{.tv_sec = seconds, .tv_nsec = 0},
                                           timespec{.tv_sec = seconds, .tv_nsec = 0}};
    util::check(::utimensat(AT_FDCWD, at(name).c_str(), times.data(), AT_SYMLINK_NOFOLLOW), "set the time of", name);
}

void Recorder::report(const Event& event) noexcept {
    const std::lock_guard lock(mutex_);
    if (const auto* finished = std::get_if<event::StepFinished>(&event)) finished_.push_back(*finished);
    if (const auto* warning = std::get_if<event::Warning>(&event)) warnings_.push_back(warning->diagnostic.code);
    if (const auto* output = std::get_if<event::StepOutput>(&event)) output_ += output->text;
}

std::vector<std::string> Recorder::endings() const {
    constexpr std::array<const char*, 4> kWords = {"done ", "cached ", "failed ", "cancelled "};
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const event::StepFinished& step : finished_) {
        out.push_back(kWords.at(static_cast<std::size_t>(step.outcome)) + step.step.instruction);
    }
    return out;
}

std::size_t Recorder::count(StepOutcome outcome) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(
        std::count_if(finished_.begin(), finished_.end(),
                      [outcome](const event::StepFinished& step) { return step.outcome == outcome; }));
}

std::vector<std::string> Recorder::warnings() const {
    const std::lock_guard lock(mutex_);
    return warnings_;
}

std::string Recorder::output() const {
    const std::lock_guard lock(mutex_);
    return output_;
}

std::shared_ptr<const SourceFile> source_file(const std::string& text) {
    return std::make_shared<const SourceFile>(SourceFile{.name = "Dockerfile", .text = text});
}

LowerOptions plain_options() {
    LowerOptions out;
    out.target_platform = Platform::parse("linux/amd64");
    out.build_platform = Platform::parse("linux/amd64");
    return out;
}

oci::ImageConfig image_config(oci::RunConfig config) {
    oci::ImageConfig out;
    out.platform = Platform::parse("linux/amd64");
    out.config = std::move(config);
    out.diff_ids = {DiffId(util::Sha256::of("a layer"))};
    return out;
}

ResolveImage resolver(Catalogue images) {
    return [images = std::move(images)](const std::string& name, const Platform&) {
        const auto at = images.find(name);
        if (at != images.end()) return BaseImage{.locator = name, .config = at->second};
        throw Error({.code = "registry.not-found", .message = "no image '" + name + "'", .hint = {}, .where = {}});
    };
}

Lowered lower_text(const std::string& text, const LowerOptions& options, Catalogue images) {
    const parser::BuildFile file = parser::parse_file(source_file(text));
    file.require_valid();
    return lower(file, options, resolver(std::move(images)));
}

std::ostream& operator<<(std::ostream& out, const Told& told) {
    return out << told.code << " at line " << told.line;
}

}  // namespace imgbuild::builder::test
