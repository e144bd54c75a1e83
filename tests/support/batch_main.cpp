// `debug batch` alone, for driving the tables of the conformance data before the whole binary links.

#include "cli/debug_batch.hpp"

#include <iostream>
#include <string_view>

int main(int argc, char** argv) {
    if (argc != 3 || std::string_view(argv[1]) != "debug" || std::string_view(argv[2]) != "batch") {
        std::cerr << "usage: debug_batch_driver debug batch\n";
        return 2;
    }
    std::ios::sync_with_stdio(false);
    return imgbuild::cli::run_debug_batch(std::cin, std::cout);
}
