// How long reading takes: build files, words, and what an ignore file means for a tree.
#include "parser/expand.hpp"
#include "parser/file.hpp"
#include "parser/ignore.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

namespace {

using namespace imgbuild;

/// A build file of about `bytes`, of the instructions that real ones have.
std::string build_file(std::size_t bytes) {
    std::string text = "# syntax=docker/dockerfile:1\nARG VERSION=1.2.3\n";
    for (int stage = 0; text.size() < bytes; ++stage) {
        text += fmt::format("FROM debian:$VERSION AS stage{}\n", stage);
        for (int i = 0; i < 20; ++i) {
            text += fmt::format(
                "ENV PATH=/opt/tool{0}/bin:$PATH LANG=\"C.UTF-8\"\n"
                "RUN --mount=type=cache,target=/var/cache/apt apt-get update && \\\n"
                "    apt-get install -y --no-install-recommends curl git make && \\\n"
                "    # a comment between\n"
                "    rm -rf /var/lib/apt/lists/*\n"
                "COPY --chown=1000:1000 --exclude=*.o src{0}/ include/ /build/part{0}/\n"
                "COPY <<EOF /etc/part{0}.conf\nname = part{0}\npath = ${{PATH}}\nEOF\n"
                "CMD [\"/build/part{0}/run\", \"--verbose\"]\n",
                i);
        }
    }
    return text;
}

void parse(benchmark::State& state) {
    const auto source = std::make_shared<const SourceFile>(
        SourceFile{"Buildfile", build_file(static_cast<std::size_t>(state.range(0)))});
    for (auto _ : state) {
        benchmark::DoNotOptimize(parser::parse_file(source));
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                            static_cast<std::int64_t>(source->text.size()));
}
BENCHMARK(parse)->Arg(1 << 14)->Arg(1 << 17)->Arg(1 << 20)->Unit(benchmark::kMillisecond);

void expand(benchmark::State& state) {
    const parser::WordExpander expander(
        parser::environment_of({{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"}, {"V", "1.2.3"}}));
    for (auto _ : state) {
        benchmark::DoNotOptimize(expander.expand("/opt/tool-${V%.*}/bin:${PATH:-/bin}/\"$V\"-${UNSET:+x}-${V/./_}"));
    }
}
BENCHMARK(expand);

std::vector<std::string> tree(std::size_t paths) {
    std::vector<std::string> result;
    for (std::size_t i = 0; i < paths; ++i) {
        result.push_back(fmt::format("packages/part{}/src/module{}/file{}.{}", i % 100, i / 100 % 100, i,
                                     i % 3 == 0 ? "cpp" : "hpp"));
    }
    return result;
}

void ignore(benchmark::State& state) {
    std::vector<std::string> patterns = {"**/*.o", "**/node_modules", ".git", "build", "!build/keep", "**/.cache/**"};
    for (std::size_t i = patterns.size(); i < static_cast<std::size_t>(state.range(1)); ++i) {
        patterns.push_back((i % 3 == 0   ? "docs/part"
                            : i % 3 == 1 ? "**/*.tmp"
                                         : "packages/*/dist") +
                           std::to_string(i));
    }
    const parser::IgnoreMatcher matcher(patterns);
    const std::vector<std::string> paths = tree(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        std::size_t excluded = 0;
        for (const std::string& path : paths) {
            excluded += matcher.excluded(path) ? 1 : 0;
        }
        benchmark::DoNotOptimize(excluded);
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(paths.size()));
}
BENCHMARK(ignore)->Args({100000, 50})->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
