#!/usr/bin/env bash
# The gate: what must be green before a change lands. .ci/run calls it.
#
#   tools/test.sh [CTEST ARGUMENT…]      for example: tools/test.sh -R e2e.basics
#
# Packages, the direction of the rooms, the layout, one build with address and undefined sanitizers, then all tests:
# unit, conformance and end to end, with nothing skipped for want of a sandbox. CTest's summary is the end of the output.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/install-packages.sh build test peers
tools/check_layers.py
tools/format.sh

cmake --preset asan
cmake --build --preset asan -j "${IMGBUILD_JOBS:-2}"

export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
export IMGBUILD_REQUIRE_SANDBOX=1
exec ctest --preset asan -j 2 -LE packaging --no-tests=error "$@"
