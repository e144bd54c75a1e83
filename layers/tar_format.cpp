#include "layers/tar_format.hpp"

#include <cstring>

namespace imgbuild::layers::tar {

Checksum checksum(const Header& header) {
    char bytes[kBlock];
    std::memcpy(bytes, &header, kBlock);
    std::memset(bytes + offsetof(Header, checksum), ' ', sizeof header.checksum);
    Checksum out;
    for (const char c : bytes) {
        out.as_unsigned += static_cast<unsigned char>(c);
        out.as_signed += static_cast<signed char>(c);
    }
    return out;
}

}  // namespace imgbuild::layers::tar
