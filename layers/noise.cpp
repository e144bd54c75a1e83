#include "layers/noise.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>

namespace imgbuild::layers {
namespace {

constexpr std::size_t kPiece = 4096;
constexpr std::size_t kShortestRun = 8 * kPiece;
constexpr std::size_t kWindow = 32U << 10;

// The sum of the squared counts of each value. Four tables, so that equal neighbours do not wait for each other.
std::uint64_t sum_of_squares(std::span<const std::byte> bytes) {
    std::array<std::array<std::uint32_t, 256>, 4> counts{};
    for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4) {
        for (std::size_t k = 0; k < 4; ++k) ++counts[k][std::to_integer<std::size_t>(bytes[i + k])];
    }
    std::uint64_t sum = 0;
    for (std::size_t value = 0; value < 256; ++value) {
        const std::uint64_t count =
            std::uint64_t{counts[0][value]} + counts[1][value] + counts[2][value] + counts[3][value];
        sum += count * count;
    }
    return sum;
}

bool is_even(std::span<const std::byte> piece) {
    constexpr std::size_t kLook = 1024;
    constexpr std::uint64_t kMostOfLook = 8192;  // 5116 is what chance makes
    // chi-squared = 256 / n * sum - n; 255 is what chance makes, with a deviation of 23.
    constexpr std::uint64_t kMostChi = 600;
    constexpr std::uint64_t kMost = kPiece * (kMostChi + kPiece) / 256;
    return sum_of_squares(piece.first(kLook)) <= kMostOfLook && sum_of_squares(piece) <= kMost;
}

// What began where, of the pieces that are evenly spread.
class Repetitions {
public:
    explicit Repetitions(std::span<const std::byte> block) : block_(block) { places_.fill(kNowhere); }

    /// Are there so few in the piece at `begin` that it is noise? Notes the piece.
    bool are_few(std::size_t begin) {
        constexpr int kFew = 16;
        int found = 0;
        // Eight bytes are read at once; the last four of a block are not looked at.
        const std::size_t end = std::min(begin + kPiece, block_.size() - 7);
        for (std::size_t at = begin; at < end; at += 4) {
            std::uint64_t words;
            std::memcpy(&words, block_.data() + at, sizeof(words));
            if constexpr (std::endian::native == std::endian::big) words = std::byteswap(words);
            const auto word = static_cast<std::uint32_t>(words);
            const std::uint32_t before = places_[slot(word)];
            if (before != kNowhere && at - before <= kWindow && word_at(before) == word) ++found;
            for (unsigned i = 0; i < 4; ++i) {
                places_[slot(static_cast<std::uint32_t>(words >> (8 * i)))] = static_cast<std::uint32_t>(at + i);
            }
        }
        return found < kFew;
    }

private:
    static constexpr unsigned kBits = 14;
    static constexpr std::uint32_t kNowhere = ~std::uint32_t{0};

    static std::size_t slot(std::uint32_t word) { return word * 2654435761U >> (32 - kBits); }

    std::uint32_t word_at(std::size_t at) const {
        std::uint32_t word;
        std::memcpy(&word, block_.data() + at, sizeof(word));
        if constexpr (std::endian::native == std::endian::big) word = std::byteswap(word);
        return word;
    }

    std::span<const std::byte> block_;
    std::array<std::uint32_t, 1U << kBits> places_;
};

void add(std::vector<Run>& runs, std::size_t size, bool is_noise) {
    if (size == 0) return;
    if (!runs.empty() && runs.back().is_noise == is_noise) {
        runs.back().size += size;
    } else {
        runs.push_back({.size = size, .is_noise = is_noise});
    }
}

}  // namespace

std::vector<Run> find_noise(std::span<const std::byte> block) {
    std::vector<Run> out;
    std::unique_ptr<Repetitions> repetitions;
    std::size_t noisy = 0;  // bytes of noise just before `at`
    std::size_t at = 0;
    const auto end_run = [&] {
        add(out, noisy, noisy >= kShortestRun);
        noisy = 0;
    };
    for (; at + kPiece <= block.size(); at += kPiece) {
        bool is_noise = is_even(block.subspan(at, kPiece));
        if (is_noise) {
            if (!repetitions) repetitions = std::make_unique<Repetitions>(block);
            is_noise = repetitions->are_few(at);
        }
        if (is_noise) {
            noisy += kPiece;
        } else {
            end_run();
            add(out, kPiece, false);
        }
    }
    end_run();
    add(out, block.size() - at, false);
    return out;
}

}  // namespace imgbuild::layers
