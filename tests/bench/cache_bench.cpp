// What a build costs in which nothing changed: looking at the context, remembering its checksums, making keys.
#include "builder/context/checksums.hpp"
#include "builder/context/local_tree.hpp"
#include "builder/ops/keys.hpp"
#include "tests/bench/bench_data.hpp"
#include "util/bytes.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace imgbuild;
using namespace imgbuild::builder;

class Silence final : public ProgressSink {
public:
    void report(const Event&) noexcept override {}
};

void count_files(benchmark::State& state) {
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}

/// A context of small files, with a store that has read all of them once.
class ContextOnDisk {
public:
    explicit ContextOnDisk(std::size_t files)
        : files_(files, 1 << 10), context_(util::RootedDir::open(files_.path()), {}, "") {}

    Selection select() const { return select_files(context_, {.from = 0, .sources = {"."}, .destination = "/"}); }
    std::vector<Digest> checksums(const Selection& selection) {
        return content_checksums(context_, files_of(selection), *store_, 2, {.stop = {}, .progress = silence_});
    }

private:
    bench::TreeOnDisk files_;
    bench::TreeOnDisk place_{0, 0};
    std::shared_ptr<layers::Store> store_ = layers::Store::open(place_.path() + "/store");
    LocalTree context_;
    Silence silence_;
};

/// Made once for each number of files, since that takes longer than what is measured.
ContextOnDisk& context_of(benchmark::State& state) {
    static std::map<std::int64_t, ContextOnDisk> made;
    return made.try_emplace(state.range(0), static_cast<std::size_t>(state.range(0))).first->second;
}

void scan_context(benchmark::State& state) {
    const ContextOnDisk& context = context_of(state);
    for (auto _ : state) {
        benchmark::DoNotOptimize(context.select());
    }
    count_files(state);
}
BENCHMARK(scan_context)->Arg(10000)->Arg(100000)->Unit(benchmark::kMillisecond)->UseRealTime();

void remembered_checksums(benchmark::State& state) {
    ContextOnDisk& context = context_of(state);
    const Selection selection = context.select();
    context.checksums(selection);
    for (auto _ : state) {
        benchmark::DoNotOptimize(context.checksums(selection));
    }
    count_files(state);
}
BENCHMARK(remembered_checksums)->Arg(10000)->Unit(benchmark::kMillisecond)->UseRealTime();

void key_of_selection(benchmark::State& state) {
    ContextOnDisk& context = context_of(state);
    const Selection selection = context.select();
    const std::vector<Digest> checksums = context.checksums(selection);
    for (auto _ : state) {
        benchmark::DoNotOptimize(selection_checksum(selection, checksums));
    }
    count_files(state);
}
BENCHMARK(key_of_selection)->Arg(10000)->Unit(benchmark::kMillisecond);

/// The key of a command on so many layers.
void key_of_command(benchmark::State& state) {
    FileSystem base;
    for (std::int64_t n = 0; n < state.range(0); ++n) {
        base.layers.push_back(std::make_shared<Layer>(util::Sha256::of(fmt::format("{}", n))));
    }
    const Exec exec{.args = {"/bin/sh", "-c", "make all && make install"}, .env = {"PATH=/usr/bin:/bin", "LANG=C"}};
    const KeyContext context{.platform = Platform::parse("linux/amd64"), .time_limit = {}, .slot = "build 3/7"};
    for (auto _ : state) {
        benchmark::DoNotOptimize(exec_key(exec, base, context));
    }
}
BENCHMARK(key_of_command)->Arg(1)->Arg(30);

}  // namespace

BENCHMARK_MAIN();
