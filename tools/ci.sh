#!/usr/bin/env bash
# Everything there is to check, before an issue is closed. About an hour on two cores.
#
#   tools/ci.sh            the gate (tools/test.sh) only
#   tools/ci.sh --full     and: thread sanitizer, clang, clang-tidy, a minute of each fuzz target, the installed
#                          program, three real projects, random properties for longer, a kill loop, every write failing,
#                          the benchmark
#
# FUZZ_SECONDS (60), KILL_ROUNDS (50), PROPERTY_ROUNDS (1000), FOREIGN_IMAGES (500) and FAULT_ROUNDS (200; 0: every write
# that a build makes) shorten or lengthen their parts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

part() { printf '\n=== %s\n' "$*"; }

run_preset_unit_tests() {
  cmake --preset "$1"
  cmake --build --preset "$1" -j 2
  ctest --preset "$1" -j 2 -L unit --no-tests=error
}

run_clang_tidy() {
  # The sources of the program; tests are held to the compilers' warnings.
  git ls-files '*.cpp' ':!tests' ':!testdata' | xargs -P 2 -n 2 clang-tidy -p build/clang --quiet
}

run_fuzz_targets() {
  cmake --preset fuzz
  cmake --build --preset fuzz -j 2 --target fuzz_targets
  local found=0 target corpus
  while IFS= read -r target; do
    found=1
    corpus="build/fuzz-corpus/$(basename "$target")"
    mkdir -p "$corpus"
    echo "--- $(basename "$target")"
    local seeds="testdata/fuzz/$(basename "$target")"
    "$target" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
      -artifact_prefix="$corpus-crash-" "$corpus" $([[ -d $seeds ]] && echo "$seeds")
  done < <(find build/fuzz/tests/fuzz -maxdepth 1 -type f -executable -name 'fuzz_*' 2>/dev/null | sort)
  (( found )) || { echo "ci: tests/fuzz has no target" >&2; return 1; }
}

run_installed() {
  local prefix
  prefix=$(mktemp -d)
  cmake --preset release
  cmake --build --preset release -j 2
  cmake --install build/release --prefix "$prefix"
  IMGBUILD="$prefix/bin/imgbuild" IMGBUILD_REQUIRE_SANDBOX=1 tests/e2e/run hello
  rm -rf "$prefix"
}

run_properties() {
  IMGBUILD_ROUNDS="${PROPERTY_ROUNDS:-1000}" build/asan/tests/unit/layers/unit_layers "[property]"
}

tools/test.sh
[[ ${1:-} == --full ]] || exit 0

tools/install-packages.sh full
part "unit tests with the thread sanitizer";  run_preset_unit_tests tsan
part "unit tests built by clang";             run_preset_unit_tests clang
part "clang-tidy";                            run_clang_tidy
part "fuzz targets";                          run_fuzz_targets
part "the installed program";                 run_installed
part "embedded, with the thread sanitizer";   IMGBUILD=build/release/cli/imgbuild IMGBUILD_REQUIRE_SANDBOX=1 tests/e2e/run embed_tsan
part "three real projects";                   IMGBUILD=build/release/cli/imgbuild IMGBUILD_REQUIRE_SANDBOX=1 tests/e2e/run realprojects
part "random properties";                     run_properties
part "images of other builders";              IMGBUILD=build/release/cli/imgbuild IMGBUILD_FOREIGN_COUNT="${FOREIGN_IMAGES:-500}" tests/e2e/run foreign
part "failing writes, full disks";            IMGBUILD=build/release/cli/imgbuild IMGBUILD_BATTERED_ROUNDS="${FAULT_ROUNDS:-200}" tests/e2e/run battered
part "kill loop";                             tests/support/kill_loop.py --rounds "${KILL_ROUNDS:-50}"
part "kill loop as a plain user";             IMGBUILD_E2E_USER=imgbuild-e2e tests/support/kill_loop.py --rounds "${KILL_ROUNDS:-50}"
part "benchmark";                             tests/bench/run --imgbuild build/release/cli/imgbuild --runs 3 --only noop --only incr --only steps --only dag
part "all done"
