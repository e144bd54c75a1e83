#include "builder/context/kept_contents.hpp"

namespace imgbuild::builder {

bool KeptRoom::take(std::uint64_t bytes) {
    if (taken_.fetch_add(bytes) + bytes <= most_) return true;
    give_back(bytes);
    return false;
}

std::span<std::byte> KeptContents::allocate(std::size_t bytes) {
    if (bytes == 0 || !room_.take(bytes)) return {};
    auto memory = std::make_unique_for_overwrite<std::byte[]>(bytes);
    const std::span<std::byte> out(memory.get(), bytes);
    const std::lock_guard lock(mutex_);
    taken_ += bytes;
    memory_.push_back(std::move(memory));
    return out;
}

}  // namespace imgbuild::builder
