#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

usage() {
    cat <<'TEXT'
Builds the benches of the CUDA kernels, runs them on the first CUDA device, and prints the table of the run.

  scripts/bench_cuda.sh [--model] [--json=FILE] [--benchmark_...]

  --model          no device: prints the modelled times of a T4 and ends
  --json=FILE      where the results go; build/bench-cuda/cuda.json otherwise
  --benchmark_...  goes to Google Benchmark, e.g. --benchmark_filter=w4a16
  -h, --help       this text

Leave the device alone meanwhile. Exit status 77 where there is no device.
TEXT
}

fail() {
    echo "error: bench_cuda.sh: $*" >&2
    exit 2
}

started_in=$PWD
json='' model=no
arguments=()
for argument in "$@"; do
    case "$argument" in
        --model) model=yes ;;
        --json=?*) json=${argument#--json=} ;;
        --json | --json=) fail "--json needs a file: --json=FILE" ;;
        --benchmark_out | --benchmark_out=* | --benchmark_out_format=*) fail "$argument: results go to --json=FILE" ;;
        --benchmark_*) arguments+=("$argument") ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) fail "unknown argument \"$argument\"; --help lists what there is" ;;
    esac
done
case "$json" in
    '' | /*) ;;
    *) json="$started_in/$json" ;;
esac
if [ -n "$json" ] && { [ -d "$json" ] || ! [ -w "$(dirname "$json")" ]; }; then
    fail "--json=$json: cannot be written (is it a file in a folder that exists?)"
fi

cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh
need_compiler
need_libraries
need_bench_tools
is_there nvcc || {
    need_conan
    need_nvcc
}
is_there nvcc || fail "no nvcc: put that of CUDA 12 or 13 on the PATH"

build=build/bench-cuda
json=${json:-$PWD/$build/cuda.json}
say "building in $build"
mkdir -p "$build"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DQTK_BUILD_TESTS=OFF -DQTK_BUILD_EXAMPLES=OFF \
    >"$build.log" 2>&1 || {
    cat "$build.log" >&2
    exit 1
}
cmake --build "$build" --target qtk_bench_cuda_by_nvcc >>"$build.log" 2>&1 || {
    tail -n 40 "$build.log" >&2
    fail "the benches were not built; the whole output is in $build.log"
}
program=$build/bench/cuda/qtk_bench_cuda
if [ "$model" = yes ]; then exec "$program" --model; fi
"$program" --benchmark_out="$json" --benchmark_out_format=json "${arguments[@]}" || exit $?
echo
scripts/cuda_table.py "$json"
echo
say "results: $json"
