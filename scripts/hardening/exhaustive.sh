#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All 2^32 floats through every conversion on every instruction set, and every property with 100,000 cases.
# About twenty minutes on one core. Prints the floats and the differences of each conversion, and what
# became of each property; the log lies in build/hardening/exhaustive. Exit status 0: no difference,
# every property holds.
#
#   scripts/hardening/exhaustive.sh [CASES]      another number of cases, e.g. 1000
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh

cases="${1:-100000}"
need_compiler
need_libraries
need_test_tools

build=build/hardening/exhaustive
mkdir -p "$build"
rooms=(quantizer kernel method io)
say "building in $build"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DQTK_BUILD_BENCH=OFF >"$build/cmake.log" 2>&1 || {
    cat "$build/cmake.log" >&2
    exit 1
}
cmake --build "$build" --parallel "$(nproc)" --target qtk_all_floats "${rooms[@]/#/qtk_test_}"

status=0
say "all floats"
printf '%s\n' f16 bf16 e4m3 e5m2 e3m2 e2m1 nf4 fp4 i8 rounded |
    xargs -n 1 -P "$(nproc)" "$build/tests/kernel/qtk_all_floats" || status=1

for room in "${rooms[@]}"; do
    say "properties of the room $room, $cases cases"
    start=$SECONDS
    if ! RC_PARAMS="max_success=$cases" "$build/tests/$room/qtk_test_$room" \
        --source-file='*_property_test.cpp' >"$build/$room.log" 2>&1; then
        cat "$build/$room.log"
        status=1
    fi
    grep -E '^(Using configuration|- |OK, passed)' "$build/$room.log"
    echo "$room: $((SECONDS - start)) s"
done
exit "$status"
