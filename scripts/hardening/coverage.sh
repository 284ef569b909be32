#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Which lines of the public headers does no test reach? Prints the share by room and fails below 90 % of include/ or 95 % of
# include/qtk/io. The page with every line: build/coverage/html/index.html.
#
#   scripts/hardening/coverage.sh [--rooms "io format"]
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh

rooms=()
if [ "${1:-}" = --rooms ]; then read -ra rooms <<<"${2:?--rooms needs the names of rooms}"; fi
need_compiler
need_libraries
need_test_tools
need gcovr gcovr

build=build/coverage
mkdir -p "$build"
cmake --preset coverage >"$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2 && exit 1; }
find "$build" -name '*.gcda' -delete
if [ ${#rooms[@]} -gt 0 ]; then
    cmake --build "$build" --parallel "$(nproc)" --target "${rooms[@]/#/qtk_test_}"
    ctest --preset coverage --parallel "$(nproc)" -R "^($(IFS='|' && echo "${rooms[*]}")): " \
        -E 'the room built for|on a GPU' >"$build/ctest.log" 2>&1 || # these are programs of their own
        { cat "$build/ctest.log" && exit 1; }
else
    cmake --build "$build" --parallel "$(nproc)"
    ctest --preset coverage --parallel "$(nproc)" >"$build/ctest.log" 2>&1 || { cat "$build/ctest.log" && exit 1; }
fi

mkdir -p "$build/html"
gcovr --root . --filter 'include/qtk/' --filter 'cuda/include/qtk/' --object-directory "$build" --exclude-throw-branches \
    -j "$(nproc)" --json "$build/coverage.json" --html-details "$build/html/index.html" "$build" \
    2>"$build/gcovr.log" || { cat "$build/gcovr.log" >&2 && exit 1; }
python3 scripts/hardening/coverage_table.py "$build/coverage.json"
