#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

usage() {
    cat <<'TEXT'
Builds the benches optimized and without contracts, runs them on one thread and on two, and writes
docs/reference/performance.md and docs/reference/roofline.svg.

  scripts/bench.sh [--quick] [--json=FILE] [--benchmark_...]

  --quick          fewer sizes and shorter runs: under three minutes instead of a quarter of an hour
  --json=FILE      all results in one file as well (each program's own: build/bench/results/*.json)
  --benchmark_...  goes to Google Benchmark, e.g. --benchmark_filter=gemv; with a filter or a list
                   the page is not written
  -h, --help       this text

Leave the machine alone meanwhile. Rows of one thread run on the last processor that this shell may use.
TEXT
}

fail() {
    echo "error: bench.sh: $*" >&2
    exit 2
}

started_in=$PWD
quick=no json='' page=yes lists=no
arguments=()
for argument in "$@"; do
    case "$argument" in
        --quick) quick=yes ;;
        --json=?*) json=${argument#--json=} ;;
        --json | --json=) fail "--json needs a file: --json=FILE" ;;
        --benchmark_out | --benchmark_out=* | --benchmark_out_format=*) fail "$argument: results go to --json=FILE" ;;
        --benchmark_list_tests | --benchmark_list_tests=true) page=no lists=yes arguments+=("$argument") ;;
        --benchmark_filter=*) page=no arguments+=("$argument") ;;
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

build=build/bench
results=$build/results
say "building in $build"
mkdir -p "$build"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DQTK_BUILD_TESTS=OFF -DQTK_BUILD_EXAMPLES=OFF \
    >"$build.log" 2>&1 || {
    cat "$build.log" >&2
    exit 1
}
grep -h 'qtk: bench' "$build.log" || true
cmake --build "$build" --parallel "$(nproc)"

programs=()
for program in "$build"/bench/*/qtk_bench_*; do
    if [ -f "$program" ] && [ -x "$program" ]; then programs+=("$program"); fi
done

if [ "$lists" = yes ]; then
    for program in "${programs[@]}"; do "$program" "${arguments[@]}"; done
    exit 0
fi

# The processors that this shell may use, one a line.
allowed_processors() {
    taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' | while IFS=- read -r first last; do
        seq "$first" "${last:-$first}"
    done
}
one=() two=()
if is_there taskset; then
    one=(taskset -c "$(allowed_processors | tail -n 1)")
    two=(taskset -c "$(allowed_processors | tail -n 2 | paste -sd,)")
else
    say "taskset is not installed: the system moves the benches between processors"
fi

commit=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || commit+='-modified'
common=("--benchmark_context=commit=$commit" --benchmark_out_format=json)
if [ "$quick" = yes ]; then
    export QTK_BENCH=quick
    common+=(--benchmark_min_time=0.05)
else
    export QTK_BENCH=full
fi

rm -rf "$results"
mkdir -p "$results"
measure() { # measure THREADS PROGRAM [ARGUMENT...]
    local threads=$1 program=$2 name pinned=("${one[@]}")
    shift 2
    [ "$threads" -eq 1 ] || pinned=("${two[@]}")
    name=$(basename "$program")-$threads.json
    say "$(basename "$program"), $threads thread(s)"
    # OpenBLAS and oneDNN read the same variable.
    OMP_NUM_THREADS=$threads "${pinned[@]}" "$program" --benchmark_out="$results/$name" "${common[@]}" "$@"
    # A filter that matches no row leaves an empty file.
    [ -s "$results/$name" ] || rm -f "$results/$name"
}
for program in "${programs[@]}"; do
    measure 1 "$program" "${arguments[@]}"
done
if [ "$(nproc)" -ge 2 ]; then
    # The products are what several threads share.
    filter='--benchmark_filter=^(limit|gemv|gemm)/'
    measure 2 "$build/bench/kernel/qtk_bench_kernel" "$filter" "${arguments[@]}"
fi

files=("$results"/*.json)
[ -e "${files[0]}" ] || fail "no bench matches ${arguments[*]}"
merged=${json:-$build/all.json}
if [ "$page" = yes ]; then
    python3 scripts/performance.py "${files[@]}" --merge "$merged" --page docs/reference/performance.md \
        --picture docs/reference/roofline.svg
    say "wrote docs/reference/performance.md, docs/reference/roofline.svg and $merged"
else
    python3 scripts/performance.py "${files[@]}" --merge "$merged"
    say "wrote $merged; docs/reference/performance.md is left as it is, because a filter leaves rows out"
fi
