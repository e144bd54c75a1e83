// The bytes of a name index (their form: name_index.hpp). Private to layers/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "layers/entry.hpp"

namespace imgbuild::layers {

class IndexEncoder {
public:
    IndexEncoder();

    void number(std::uint64_t value);
    void signed_number(std::int64_t value);
    void bytes(std::string_view value);
    void entry(const Entry& entry, std::string_view previous_path);
    void text(const std::optional<std::string>& value);
    /// Appends the checksum.
    std::string finish();

private:
    std::string out_;
};

/// Throws CorruptData ("corrupt.names") for anything that an encoder did not write.
class IndexDecoder {
public:
    /// Checks magic, version and checksum; `bytes` must outlive the decoder.
    explicit IndexDecoder(std::string_view bytes);

    std::uint64_t number();
    Entry entry(std::string_view previous_path);
    std::optional<std::string> text();
    /// Nothing may be left.
    void finish() const;

private:
    std::uint32_t small_number();
    std::int64_t signed_number();
    std::string_view bytes();
    unsigned char byte();

    std::string_view rest_;
};

}  // namespace imgbuild::layers
