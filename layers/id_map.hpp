// Which ids the user namespace of this process knows. Private to layers/.
#pragma once

#include <cstdint>

namespace imgbuild::layers {

/// Can a file belong to this user, as far as the ids' map goes? Reads the map each time: not for every file.
bool is_mapped_uid(std::uint32_t uid);
bool is_mapped_gid(std::uint32_t gid);

}  // namespace imgbuild::layers
