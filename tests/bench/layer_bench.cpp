// What a layer costs per file: finding what a step changed, the tar's headers, the index of names.
#include "layers/diff.hpp"
#include "layers/pack.hpp"
#include "tests/bench/bench_data.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace imgbuild;

/// Takes a tar and keeps nothing.
class Nowhere final : public layers::TarStream {
public:
    void begin_entry(std::string_view) override {}
    void begin_content(std::uint64_t) override {}
    void write(std::span<const std::byte> bytes) override { size += bytes.size(); }

    std::uint64_t size = 0;
};

void count_files(benchmark::State& state, std::size_t files) {
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(files));
}

layers::ScanResult scan(const bench::TreeOnDisk& tree) {
    return layers::scan_upper(tree.root(),
                              {.layer_time = 1'000'000'000, .below = nullptr, .given_away = {}, .stop = {}});
}

/// An upper directory as a step leaves it: every time is to be cut.
void diff(benchmark::State& state) {
    const auto files = static_cast<std::size_t>(state.range(0));
    const bench::TreeOnDisk tree(files, 2 << 10);
    for (auto _ : state) {
        state.PauseTiming();
        tree.touch();
        state.ResumeTiming();
        benchmark::DoNotOptimize(scan(tree));
    }
    count_files(state, files);
}
BENCHMARK(diff)->Arg(10000)->Unit(benchmark::kMillisecond);

/// The tar of a tree on the disk (which is in the page cache), hashed by nobody.
void tar_of_tree(benchmark::State& state) {
    const auto files = static_cast<std::size_t>(state.range(0));
    const bench::TreeOnDisk tree(files, 2 << 10);
    const layers::NameIndex names = scan(tree).names;
    const util::RootedDir root = tree.root();
    Nowhere out;
    for (auto _ : state) {
        layers::write_layer_tar(names, root, out);
    }
    count_files(state, files);
    state.SetBytesProcessed(static_cast<std::int64_t>(out.size));
}
BENCHMARK(tar_of_tree)->Arg(10000)->Unit(benchmark::kMillisecond);

layers::Entry entry(std::size_t number, bool long_name) {
    layers::Entry out;
    out.path = fmt::format("usr/share/{}{}/file{}", long_name ? std::string(200, 'x') : "doc", number % 100, number);
    out.mode = 0644;
    out.mtime = 1'600'000'000;
    return out;
}

/// Headers alone; with 1, each needs a pax record for its name.
void tar_headers(benchmark::State& state) {
    std::vector<layers::Entry> entries;
    for (std::size_t n = 0; n < 1000; ++n) entries.push_back(entry(n, state.range(0) == 1));
    Nowhere out;
    layers::TarWriter writer(out);
    for (auto _ : state) {
        for (const layers::Entry& each : entries) writer.add(each);
    }
    count_files(state, entries.size());
}
BENCHMARK(tar_headers)->Arg(0)->Arg(1);

layers::NameIndex index_of(std::size_t files) {
    std::vector<layers::Entry> entries;
    for (const char* directory : {"usr", "usr/share"}) {
        entries.push_back({.path = directory, .type = layers::EntryType::directory, .mode = 0755});
    }
    for (std::size_t n = 0; n < 100; ++n) {
        entries.push_back(
            {.path = fmt::format("usr/share/doc{}", n), .type = layers::EntryType::directory, .mode = 0755});
    }
    for (std::size_t n = 0; n < files; ++n) entries.push_back(entry(n, false));
    return layers::NameIndex(std::move(entries));
}

void names_parse(benchmark::State& state) {
    const auto files = static_cast<std::size_t>(state.range(0));
    const std::string bytes = index_of(files).serialize();
    for (auto _ : state) {
        benchmark::DoNotOptimize(layers::NameIndex::parse(bytes));
    }
    count_files(state, files);
}
BENCHMARK(names_parse)->Arg(10000)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
