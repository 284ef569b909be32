#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the benches optimized and without contracts, runs them and leaves JSON in build/bench. Arguments go to Google
# Benchmark, e.g. scripts/bench.sh --benchmark_filter=gemv
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh
need_compiler
need_libraries
need_test_tools

build=build/bench
mkdir -p "$build"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DQTK_BUILD_TESTS=OFF -DQTK_BUILD_EXAMPLES=OFF >"$build.log"
cmake --build "$build" --parallel "$(nproc)"
for program in "$build"/bench/*/qtk_bench_*; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    "$program" --benchmark_out="$build/$(basename "$program").json" --benchmark_out_format=json "$@"
done
