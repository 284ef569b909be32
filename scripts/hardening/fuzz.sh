#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the fuzz targets with clang (libFuzzer, ASan, UBSan, LSan), replays corpora and regressions, then
# runs each target for its budget. One line a target; exit status 1 at a find, whose file lies in
# build/hardening/fuzz/finds. What a run has learned stays in build/hardening/fuzz/corpus.
#
#   scripts/hardening/fuzz.sh [--runs N | --seconds N] [TARGET...]
#       --runs N      executions of each target; without it 2,000,000, of the slow ones 200,000
#       --seconds N   time of each target instead
#       --replay      corpora and regressions alone
#   scripts/hardening/fuzz.sh --ci       the fast parsers: 2,100,000 executions in all, time-boxed
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh

fast=(checkpoint_packing config energy_table fairness_journal gguf image_sets imatrix layer_layout npy
    observations pack quantization_config recipe safetensors spelling strict_json trace)
# Files in a folder, whole tokenizers and images, kernels on every instruction set, tables of options.
slow=(cli_qtk cli_quant_energy cli_quant_fairness decode gguf_blocks gguf_quantize index jpeg_png product
    quantize tokenizer_json write_journal)
# Quick to compile, and each new input is a matter of microseconds.
in_ci=(gguf image_sets npy safetensors spelling trace)
ci_runs=350000 ci_seconds=90

runs='' seconds='' is_ci=0 is_replay=0 targets=()
while [ $# -gt 0 ]; do
    case "$1" in
        --runs) runs=$2 && shift ;;
        --seconds) seconds=$2 && shift ;;
        --ci) is_ci=1 ;;
        --replay) is_replay=1 ;;
        -*)
            echo "error: $1: expected --runs N, --seconds N, --replay, --ci or names of targets" >&2
            exit 2
            ;;
        *) targets+=("$1") ;;
    esac
    shift
done
if [ $is_ci = 1 ]; then
    targets=("${in_ci[@]}") runs=$ci_runs seconds=$ci_seconds
elif [ ${#targets[@]} = 0 ]; then
    targets=("${fast[@]}" "${slow[@]}")
fi
for target in "${targets[@]}"; do
    case " ${fast[*]} ${slow[*]} " in
        *" $target "*) ;;
        *)
            echo "error: $target: no such target. There are: ${fast[*]} ${slow[*]}" >&2
            exit 2
            ;;
    esac
done

need_compiler
need_libraries
need clang++-16 clang-16 llvm-symbolizer-16 llvm-16 ccache ccache '</usr/lib/llvm-16/lib/clang/16/include/fuzzer/FuzzedDataProvider.h>' libclang-rt-16-dev

work=build/hardening/fuzz
build=$work/build
mkdir -p "$work/finds" "$work/log"
# The programs are compiled only where their options are fuzzed.
programs=OFF
case "${targets[*]}" in *cli_*) programs=ON ;; esac
say "configuring and building ${#targets[@]} targets in $build"
cmake --preset fuzz -B "$build" -DQTK_WITH_TORCH=OFF -DQTK_BUILD_EXAMPLES=$programs >"$work/configure.log" 2>&1 || {
    cat "$work/configure.log" >&2
    exit 1
}
cmake --build "$build" --parallel "$(nproc)" --target "${targets[@]/#/qtk_fuzz_}" >"$work/build.log" 2>&1 || {
    cat "$work/build.log" >&2
    exit 1
}

export OMP_WAIT_POLICY=passive
# What is given up of ASan for twice the executions: frames that are used after their return, long stacks of
# allocations, and freed memory that is kept beyond 16 MB.
export ASAN_OPTIONS="detect_leaks=1:detect_stack_use_after_return=0:malloc_context_size=8:quarantine_size_mb=16${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
ASAN_SYMBOLIZER_PATH=$(command -v llvm-symbolizer-16 || true)
export ASAN_SYMBOLIZER_PATH

# fuzz_one TARGET: a line of figures; status 1 for a find.
fuzz_one() {
    local target=$1 status=0 budget=() folders=() log=$work/log/$1.log
    local learned=$work/corpus/$target
    mkdir -p "$learned"
    for folder in tests/fuzz/corpus/$target tests/fuzz/regressions/$target; do
        [ ! -d "$folder" ] || folders+=("$folder")
    done
    local limits=(-max_len=65536 -rss_limit_mb=512 -malloc_limit_mb=64 -timeout=5 -entropic=0
        -print_final_stats=1 -artifact_prefix="$work/finds/$target-")
    if [ -f "tests/fuzz/dictionaries/$target.dict" ]; then limits+=(-dict="tests/fuzz/dictionaries/$target.dict"); fi
    if [ "$is_replay" = 1 ]; then
        budget=(-runs=0)
    else
        if [ -n "$seconds" ]; then budget+=("-max_total_time=$seconds"); fi
        if [ -n "$runs" ]; then
            budget+=("-runs=$runs")
        elif [ -z "$seconds" ]; then
            case " ${slow[*]} " in
                *" $target "*) budget=(-runs=200000) ;;
                *) budget=(-runs=2000000) ;;
            esac
        fi
        # Values of comparisons teach a long run; they cost a short one half of its executions. CI's start is
        # fixed: what it finds is no matter of luck.
        if [ "$is_ci" = 1 ]; then budget+=(-seed=1); else budget+=(-use_value_profile=1); fi
    fi
    "$build/tests/fuzz/qtk_fuzz_$target" "${limits[@]}" "${budget[@]}" "$learned" "${folders[@]}" >"$log" 2>&1 || status=$?
    awk -v target="$target" -v status="$status" -v find="$work/finds/$target-*" '
        /cov: / { for (i = 1; i < NF; ++i) if ($i == "cov:") edges = $(i + 1) }
        /^stat::number_of_executed_units/ { executions = $2 }
        /^stat::average_exec_per_sec/ { rate = $2 }
        /^stat::peak_rss_mb/ { peak = $2 }
        END {
            printf "%-20s %12d executions %8d/s %6d edges %5d MB  %s\n", target, executions, rate, edges, peak,
                status == 0 ? "no find" : "FIND: " find
        }' "$log"
    [ "$status" = 0 ]
}

status=0
if [ $is_ci = 1 ]; then
    export work build is_replay is_ci seconds runs
    export -f fuzz_one
    # Arrays cannot be exported; these targets are all fast.
    slow=()
    printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'slow=(); fuzz_one {}' | tee "$work/figures.txt" || status=1
else
    : >"$work/figures.txt"
    for target in "${targets[@]}"; do
        fuzz_one "$target" | tee -a "$work/figures.txt" || status=1
    done
fi
awk '{ all += $2; finds += /FIND/ } END { printf "%d targets, %d executions, %d finds\n", NR, all, finds }' "$work/figures.txt"
if [ $status != 0 ]; then echo "error: a target has a find; its log is in $work/log, the input in $work/finds" >&2; fi
exit $status
