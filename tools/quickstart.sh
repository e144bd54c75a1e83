#!/usr/bin/env bash
# From a fresh Debian 12 to a first image: install packages, build a release, build examples/hello, run it.
#
#   sudo tools/quickstart.sh
#
# No registry is needed. The image lies in the local store (IMGBUILD_ROOT, else /var/lib/imgbuild) afterwards.
# A second call takes seconds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
[[ -t 2 && -z ${NO_COLOR:-} ]] || say() { printf '\n%s\n' "$*" >&2; }

if (( EUID != 0 )); then
  echo "quickstart: please run it as root; builds without privileges are not there yet (README.md)" >&2
  exit 12
fi

say "1/4 packages"
tools/install-packages.sh build

say "2/4 a release build (some minutes the first time)"
[[ -f build/release/build.ninja ]] || cmake --preset release > /dev/null
cmake --build --preset release -j "$(nproc)" -- --quiet

imgbuild=build/release/cli/imgbuild
say "3/4 imgbuild -t hello:1 --build-context tools=/bin examples/hello"
"$imgbuild" -t hello:1 --build-context tools=/bin examples/hello
"$imgbuild" images

say "4/4 imgbuild run hello:1"
"$imgbuild" run hello:1
