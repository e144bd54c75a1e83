#!/usr/bin/env bash
# Check the layout of all tracked C++ files against .clang-format.
#
#   tools/format.sh          list the files that differ; exit 1 if there is one
#   tools/format.sh --fix    rewrite them
#
# testdata/ is data and left alone. CLANG_FORMAT names another binary (the layout is that of version 14).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

clang_format=${CLANG_FORMAT:-clang-format}
mapfile -t files < <(git ls-files '*.cpp' '*.hpp' '*.c' '*.h' ':!testdata')
(( ${#files[@]} )) || exit 0

case "${1:-}" in
  --fix) exec "$clang_format" -i "${files[@]}" ;;
  "") ;;
  *) echo "format: unknown argument '$1' (only --fix)" >&2; exit 2 ;;
esac

# Its exit code only says that there is one, and would end this script before it named it.
differing=$({ "$clang_format" --dry-run -Werror "${files[@]}" 2>&1 || true; } | sed -n 's/:[0-9]*:[0-9]*: error: .*//p' | sort -u)
[[ -z $differing ]] && exit 0
echo "format: these files differ from .clang-format; tools/format.sh --fix rewrites them:" >&2
sed 's/^/  /' <<< "$differing" >&2
exit 1
