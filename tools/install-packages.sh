#!/usr/bin/env bash
# Install what imgbuild needs from the configured Debian sources. Quick and silent when everything is there.
#
#   tools/install-packages.sh [SET…]       (default: build test)
#
#   build   compile imgbuild and run the example (libraries, CMake, Ninja, busybox-static)
#   test    the unit tests and checks (Catch2, Python, clang-format)
#   peers   what the end-to-end tests compare with (docker-registry, skopeo, umoci, crun, podman, buildah, mmdebstrap,
#           bsdtar)
#   full    what tools/ci.sh --full adds (clang, clang-tidy, fuzzing runtime, Google Benchmark)
set -euo pipefail

declare -A packages=(
  [build]="g++ cmake ninja-build pkg-config ccache libfmt-dev nlohmann-json3-dev libcli11-dev libssl-dev
           libsqlite3-dev libzstd-dev libdeflate-dev libisal-dev zlib1g-dev libarchive-dev libseccomp-dev libcurl4-openssl-dev
           ca-certificates busybox-static"
  [test]="catch2 python3 clang-format git"
  [peers]="docker-registry skopeo umoci crun podman buildah mmdebstrap openssl zstd uidmap
           libarchive-tools e2fsprogs"
  [full]="clang clang-tidy libclang-rt-14-dev e2fsprogs libbenchmark-dev"
)

is_installed() {
  [[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

missing=()
for set in "${@:-build test}"; do
  for name in $set; do
    [[ -v "packages[$name]" ]] || { echo "install-packages: there is no set '$name' (build, test, peers, full)" >&2; exit 2; }
    for package in ${packages[$name]}; do
      is_installed "$package" || missing+=("$package")
    done
  done
done
(( ${#missing[@]} )) || exit 0

if (( EUID != 0 )); then
  echo "install-packages: as root, please: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

# docker-registry would start a service on all interfaces; packages are installed here, not switched on.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi

install_missing() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

echo "install-packages: ${missing[*]}" >&2
# Lists may be absent (a fresh container) or out of date; a mirror may fail once.
install_missing >&2 2>/dev/null || { { apt-get update -q || { sleep 5; apt-get update -q; }; } >&2; install_missing >&2; }
