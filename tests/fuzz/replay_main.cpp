// Stands in for libFuzzer in ordinary builds: gives each file of a corpus to the target once. A crash, a sanitizer's
// report or an exception that is none of ours ends it with a failure.
#include "tests/fuzz/fuzz.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    int replayed = 0;
    for (const auto& file : std::filesystem::directory_iterator(argv[1])) {
        std::ifstream stream(file.path(), std::ios::binary);
        const std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
        std::printf("%s\n", file.path().c_str());
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
        ++replayed;
    }
    if (replayed == 0) std::fprintf(stderr, "no corpus in '%s'\n", argv[1]);
    return replayed == 0 ? 1 : 0;
}
