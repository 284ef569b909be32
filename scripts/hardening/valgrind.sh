#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The small rooms of tests under valgrind's memcheck: reads of what was never written, which no sanitizer of g++ sees.
#
#   scripts/hardening/valgrind.sh [ROOM...]
#
# Valgrind shows a processor without AVX-512 and AMX: the AVX2, portable and scalar kernels run.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh

rooms=("$@")
[ ${#rooms[@]} -gt 0 ] || rooms=(core format math range quantizer stats energy io)
need_compiler
need_libraries
need_test_tools
need valgrind valgrind

build=build/valgrind
mkdir -p "$build"
cmake --preset valgrind >"$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2 && exit 1; }
cmake --build "$build" --parallel "$(nproc)" --target "${rooms[@]/#/qtk_test_}"
status=0
for room in "${rooms[@]}"; do
    log="$build/$room.log"
    if valgrind --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,possible --log-file="$log" \
        "$build/tests/$room/qtk_test_$room" >"$build/$room.out" 2>&1; then
        outcome=clean
    else
        outcome=FAILED
        status=1
        cat "$build/$room.out" "$log"
    fi
    printf '%-10s %-7s %s\n' "$room" "$outcome" "$(sed -nE 's/^==[0-9]+== (ERROR SUMMARY.*)$/\1/p' "$log")"
done
exit "$status"
