#include "tests/bench/bench_data.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string_view>
#include <vector>

namespace imgbuild::bench {

namespace {

std::string random_bytes(std::mt19937_64& random, std::size_t size) {
    std::string out(size, '\0');
    for (char& byte : out) byte = static_cast<char>(random());
    return out;
}

std::string temporary_directory() {
    const char* given = std::getenv("TMPDIR");
    return given != nullptr ? given : "/tmp";
}

}  // namespace

std::string text(std::size_t size) {
    std::mt19937_64 random(1);
    std::vector<std::string> words(3000);
    for (std::string& word : words) word = random_bytes(random, 4 + random() % 8) + " ";
    std::string out;
    while (out.size() < size) out += words[random() % words.size()];
    out.resize(size);
    return out;
}

std::string noise(std::size_t size) {
    std::mt19937_64 random(1);
    return random_bytes(random, size);
}

TreeOnDisk::TreeOnDisk(std::size_t files, std::size_t size) : directory_(temporary_directory(), "imgbuild-bench-") {
    const std::string pool = text((1U << 20) + size);
    std::mt19937_64 random(2);
    for (std::size_t n = 0; n < files; ++n) {
        const std::string parent = fmt::format("{}/dir{}", path(), n / 100);
        if (n % 100 == 0) std::filesystem::create_directory(parent);
        std::ofstream out(fmt::format("{}/file{}", parent, n), std::ios::binary);
        out << std::string_view(pool).substr(random() % (1U << 20), size);
    }
}

void TreeOnDisk::touch() const {
    const auto now = std::filesystem::file_time_type::clock::now();
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path())) {
        std::filesystem::last_write_time(entry.path(), now);
    }
}

}  // namespace imgbuild::bench
