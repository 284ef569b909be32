#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The tests under sanitizers. Every report fails a test.
#
#   scripts/hardening/sanitizers.sh [asan] [tsan] [--rooms "io format"] [-- CTEST-ARGUMENT...]
#
# asan: g++; addresses, leaks, undefined behaviour and the standard library's own assertions. tsan: clang 16; data races, with four
# threads of OpenMP, whose meetings its runtime tells (Archer; g++'s runtime does not). --rooms builds and runs these rooms of tests
# alone; without it everything is built, the programs among it, and every test runs but those that compile or package.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh

presets=() rooms=()
while [ $# -gt 0 ]; do
    case "$1" in
        asan | tsan) presets+=("$1") ;;
        --rooms) read -ra rooms <<<"${2:?--rooms needs the names of rooms}" && shift ;;
        --) shift && break ;;
        *) echo "error: \"$1\" is no option; see the first lines of $0" >&2 && exit 2 ;;
    esac
    shift
done
[ ${#presets[@]} -gt 0 ] || presets=(asan tsan)

need_compiler
need_libraries
need_test_tools
case " ${presets[*]} " in
    *" tsan "*) need clang++-16 clang-16 '</usr/lib/llvm-16/lib/clang/16/include/omp.h>' libomp-16-dev ;;
esac

status=0
for preset in "${presets[@]}"; do
    say "$preset: building"
    build=build/$preset
    cmake --preset "$preset" >"build/$preset.log" 2>&1 || { cat "build/$preset.log" >&2 && exit 1; }
    arguments=("$@")
    if [ ${#rooms[@]} -gt 0 ]; then
        cmake --build "$build" --parallel "$(nproc)" --target "${rooms[@]/#/qtk_test_}"
        arguments+=(-R "^($(IFS='|' && echo "${rooms[*]}")): " -E 'the room built for|on a GPU') # programs of their own
    else
        cmake --build "$build" --parallel "$(nproc)"
    fi
    say "$preset: running"
    ctest --preset "$preset" --parallel "$(nproc)" "${arguments[@]}" >"$build/ctest.log" 2>&1 || status=1
    if [ "$status" -ne 0 ]; then cat "$build/ctest.log"; fi
    printf '%s: %s\n' "$preset" "$(grep -E 'tests passed' "$build/ctest.log" || echo 'no test ran')"
done
exit "$status"
