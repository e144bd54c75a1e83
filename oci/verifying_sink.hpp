// The pushing twin of util::VerifyingSource, for bytes that arrive by callback.
#pragma once

#include "oci/descriptor.hpp"
#include "util/bytes.hpp"

#include <string>

namespace imgbuild::oci {

/// Passes bytes on and throws CorruptData at the first one beyond the descriptor's size. finish() checks that all
/// have come and that their digest is right; nobody may trust them before.
class VerifyingSink final : public util::Sink {
public:
    /// `what` names the blob in errors. `next` must outlive the sink.
    VerifyingSink(const Descriptor& expected, util::Sink& next, std::string what);

    void write(std::span<const std::byte> bytes) override;
    /// Throws CorruptData.
    void finish() const;
    /// Bytes so far.
    std::uint64_t size() const { return size_; }

private:
    Digest digest_;
    std::uint64_t expected_size_;
    util::Sink& next_;
    std::string what_;
    util::Sha256 hash_;
    std::uint64_t size_ = 0;
};

}  // namespace imgbuild::oci
