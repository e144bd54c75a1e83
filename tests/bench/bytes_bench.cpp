// What every byte of a layer goes through: sha256, compression, and the way back.
#include "layers/codec.hpp"
#include "layers/decompress.hpp"
#include "tests/bench/bench_data.hpp"
#include "util/bytes.hpp"

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <string_view>

namespace {

using namespace imgbuild;
using layers::Codec;

constexpr std::size_t kBytes = 4U << 20;

void count(benchmark::State& state, std::size_t bytes) {
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(bytes));
}

void sha256(benchmark::State& state) {
    const std::string data = bench::noise(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        benchmark::DoNotOptimize(util::Sha256::of(data));
    }
    count(state, data.size());
}
BENCHMARK(sha256)->Arg(2 << 10)->Arg(64 << 10)->Arg(kBytes);

/// One block of the largest size; "ratio" is what is left of it.
void compress(benchmark::State& state, Codec::Kind kind, const std::string& data) {
    const Codec codec{.kind = kind, .level = static_cast<int>(state.range(0))};
    std::size_t left = 0;
    for (auto _ : state) {
        left = layers::compress_block(codec, util::as_bytes(data)).size();
    }
    count(state, data.size());
    state.counters["ratio"] = static_cast<double>(left) / static_cast<double>(data.size());
}
void gzip_text(benchmark::State& state) {
    compress(state, Codec::Kind::gzip, bench::text(kBytes));
}
void gzip_noise(benchmark::State& state) {
    compress(state, Codec::Kind::gzip, bench::noise(kBytes));
}
void zstd_text(benchmark::State& state) {
    compress(state, Codec::Kind::zstd, bench::text(kBytes));
}
void zstd_noise(benchmark::State& state) {
    compress(state, Codec::Kind::zstd, bench::noise(kBytes));
}
BENCHMARK(gzip_text)->Arg(1)->Arg(4)->Arg(6)->Arg(9)->Arg(12)->Unit(benchmark::kMillisecond);
BENCHMARK(gzip_noise)->Arg(1)->Arg(6)->Unit(benchmark::kMillisecond);
BENCHMARK(zstd_text)->Arg(1)->Arg(3)->Arg(9)->Arg(19)->Unit(benchmark::kMillisecond);
BENCHMARK(zstd_noise)->Arg(1)->Arg(3)->Unit(benchmark::kMillisecond);

/// The bytes that come out are counted.
void inflate(benchmark::State& state, Codec::Kind kind) {
    const std::string data = bench::text(kBytes);
    const auto block = layers::compress_block({.kind = kind}, util::as_bytes(data));
    const std::string_view packed(reinterpret_cast<const char*>(block.data()), block.size());
    for (auto _ : state) {
        util::MemorySource compressed(packed);
        const std::unique_ptr<util::Source> plain = layers::open_layer_blob(compressed);
        util::NullSink nowhere;
        benchmark::DoNotOptimize(util::copy(*plain, nowhere));
    }
    count(state, data.size());
}
void inflate_gzip(benchmark::State& state) {
    inflate(state, Codec::Kind::gzip);
}
void inflate_zstd(benchmark::State& state) {
    inflate(state, Codec::Kind::zstd);
}
BENCHMARK(inflate_gzip)->Unit(benchmark::kMillisecond);
BENCHMARK(inflate_zstd)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
