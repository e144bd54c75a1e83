#include "oci/verifying_sink.hpp"

#include <imgbuild/error.hpp>

#include <fmt/format.h>

namespace imgbuild::oci {

VerifyingSink::VerifyingSink(const Descriptor& expected, util::Sink& next, std::string what)
    : digest_(expected.digest), expected_size_(expected.size), next_(next), what_(std::move(what)) {}

void VerifyingSink::write(std::span<const std::byte> bytes) {
    if (bytes.size() > expected_size_ - size_) {
        throw CorruptData(what_, fmt::format("{} bytes", expected_size_), "more");
    }
    hash_.update(bytes);
    size_ += bytes.size();
    next_.write(bytes);
}

void VerifyingSink::finish() const {
    if (size_ != expected_size_) {
        throw CorruptData(what_, fmt::format("{} bytes", expected_size_), fmt::format("{} bytes", size_));
    }
    if (const Digest actual = hash_.digest(); actual != digest_) {
        throw CorruptData(what_, digest_.text(), actual.text());
    }
}

}  // namespace imgbuild::oci
