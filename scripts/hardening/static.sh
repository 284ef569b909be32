#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What can be said without running anything: the rules of the readers (scripts/check_rules.py), clang's warnings in
# a file with all headers, cppcheck (its set below, scripts/hardening/cppcheck_suppressions.txt) and clang-tidy (.clang-tidy). One line a part;
# exit status 1 at a finding. Needs the versions that Debian 12 has: clang 16, cppcheck 2.10.
#
#   scripts/hardening/static.sh [PART...]    rules, warnings, cppcheck, tidy; without a name all of them
#   scripts/hardening/static.sh --ci         rules, and the warnings of one compiler: about a minute of one core
#   QTK_JOBS=2 scripts/hardening/static.sh   so many files at once (default: one a core)
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh

compilers=(clang++-16 clang++-19) parts=()
for argument in "$@"; do
    case "$argument" in
        --ci) compilers=(clang++-16) parts+=(rules warnings) ;;
        rules | warnings | cppcheck | tidy) parts+=("$argument") ;;
        *)
            echo "error: $argument: expected --ci or parts of: rules warnings cppcheck tidy" >&2
            exit 2
            ;;
    esac
done
[ ${#parts[@]} -gt 0 ] || parts=(rules warnings cppcheck tidy)

work=$PWD/build/hardening/static
jobs=${QTK_JOBS:-$(nproc)}
mkdir -p "$work"
status=0

# configure: the commands that compile each file, as clang would be called. Without OpenMP, whose header is not
# clang's here, and without LibTorch, whose headers take a minute a file.
configure() {
    [ ! -f "$work/is_configured" ] || return 0
    need_compiler
    need_libraries
    need_test_tools
    need clang++-16 clang-16
    cmake -S . -B "$work/build" -G Ninja -DCMAKE_CXX_COMPILER=clang++-16 -DCMAKE_EXPORT_COMPILE_COMMANDS=ON \
        -DQTK_WITH_OPENMP=OFF -DQTK_WITH_TORCH=OFF -DQTK_WITH_MPI=ON -DQTK_BUILD_BENCH=OFF >"$work/configure.log" 2>&1 || {
        cat "$work/configure.log" >&2
        return 1
    }
    touch "$work/is_configured"
}

# command_of FILE: the words that compile it, without compiler, output and input, one a line.
command_of() {
    python3 - "$work/build/compile_commands.json" "$1" <<'PY'
import json, shlex, sys

entry = next(e for e in json.load(open(sys.argv[1])) if e["file"].endswith(sys.argv[2]))
words = shlex.split(entry["command"])
while words[0] != "-c" and not words[0].endswith("clang++-16"):
    words.pop(0)
skipped = 0
for word in words[1:]:
    if skipped or word in ("-c", "-o") or word == entry["file"]:
        skipped = word in ("-c", "-o") and word == "-o"
    else:
        print(word)
PY
}

# ours FILE: its findings in our tree, each place once; third-party headers and tests are not ours to change.
ours() {
    grep -E "^$PWD/(include|cuda/include|examples/apps)/[^ ]+: (warning|error|performance|portability): |: (fatal )?error: " "$1" |
        sed "s|^$PWD/||" | sort -u || true
}

# tell PART SECONDS WHAT FINDINGS-FILE
tell() {
    local count
    count=$(wc -l <"$4")
    printf '%-9s %5d s  %-52s %d findings\n' "$1" "$2" "$3" "$count"
    [ "$count" -eq 0 ] || {
        cat "$4"
        status=1
    }
}

run_rules() {
    local start=$SECONDS
    { python3 scripts/check_rules.py || true; } >"$work/rules.log"
    grep '^error: ' "$work/rules.log" >"$work/rules.txt" || true
    tell rules $((SECONDS - start)) "$(tail -n 1 "$work/rules.log" | sed 's/, [0-9]* errors//')" "$work/rules.txt"
}

# g++ has its own set in every build (cmake/developer.cmake). This is what clang sees besides. Not asked for: -Wshadow,
# which clang takes for namespaces, too (g++ has -Wshadow=local), and -Wcomma: `rows_ = r, cols_ = c` is one step here.
run_warnings() {
    configure
    local compiler flags start
    mapfile -t flags < <(command_of house/all_headers.cpp)
    for compiler in "${compilers[@]}"; do
        need "$compiler" "${compiler/++/}"
        start=$SECONDS
        "$compiler" "${flags[@]}" -fsyntax-only -ferror-limit=0 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion \
            -Wcast-qual -Wold-style-cast -Wdouble-promotion -Wextra-semi -Wnon-virtual-dtor \
            -Woverloaded-virtual -Wimplicit-fallthrough -Wloop-analysis -Wunreachable-code-aggressive \
            "$work/build/tests/house/all_headers.cpp" >"$work/$compiler.log" 2>&1 || true
        ours "$work/$compiler.log" >"$work/$compiler.txt"
        tell warnings $((SECONDS - start)) "all headers, $("$compiler" --version | head -n 1 | grep -oE 'clang version [0-9.]+')" "$work/$compiler.txt"
    done
}

# Each file for itself, includes not followed: cppcheck 2.10 gives up a whole file at C++20 that it does not parse,
# and reads a copy whose lambdas have lost their template parameters. Lines keep their numbers.
run_cppcheck() {
    need cppcheck cppcheck
    local start=$SECONDS files
    rm -rf "$work/plain"
    python3 - "$work/plain" <<'PY'
import re, sys
from pathlib import Path

for folder in ("include", "cuda/include", "examples/apps"):
    for path in Path(folder).rglob("*"):
        if path.suffix in (".hpp", ".cpp"):
            text = re.sub(r"\]<(?:typename|class|int|bool|auto|unsigned|\w+_kind|scheme|format|std::)[^()\n]*?>\s*(?=\()", "]", path.read_text())
            text = re.sub(r"(?<![\w(])(std::\w+<\w+>)(?= (?:\?|&&|\|\|))", r"(\1)", text)
            copy = sys.argv[1] / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text)
PY
    mapfile -t files < <(cd "$work/plain" && find . -name '*.[hc]pp' -printf '%P\n' | sort)
    # Two jobs at least: a crash then costs one file and is reported.
    (cd "$work/plain" && cppcheck -q -j "$((jobs > 2 ? jobs : 2))" --std=c++20 --language=c++ --library=posix \
        --enable=warning,performance,portability --inline-suppr \
        --suppressions-list="$OLDPWD/scripts/hardening/cppcheck_suppressions.txt" \
        -DQTK_HAS_STB=1 -DQTK_HAS_CBLAS=1 -DQTK_NO_XSIMD=1 -DQTK_CUDA_EMULATE=1 -D__GNUC__=12 -D__x86_64__=1 -D__linux__=1 \
        --template='{file}:{line}: {severity}: {message} [{id}]' "${files[@]}") >"$work/cppcheck.log" 2>&1 || true
    # What stands there and is no finding is a failure of cppcheck itself.
    sort -u "$work/cppcheck.log" >"$work/cppcheck.txt"
    tell cppcheck $((SECONDS - start)) "${#files[@]} files, $(cppcheck --version)" "$work/cppcheck.txt"
}

# All headers in one file, each program's files, the kernels compiled once, and a few tests for the templates that
# no program instantiates. The analyser looks at headers' functions for their own sake in the first of them alone.
run_tidy() {
    configure
    need clang-tidy-16 clang-tidy-16
    local start=$SECONDS files
    mapfile -t files < <(python3 - "$work/build/compile_commands.json" <<'PY'
import json, sys

tests = ("house/all_headers", "method/quantize_any_test", "math/hadamard_test", "cuda/linear_test", "io/layer_layout_test")
files = {e["file"] for e in json.load(open(sys.argv[1]))}
for file in sorted(files, key=lambda f: (not f.endswith("all_headers.cpp"), f)):
    if "/examples/apps/" in file or file.endswith(("/cmake/kernels.cpp", *(f"/{t}.cpp" for t in tests))):
        print(file)
PY
    )
    printf '%s\n' "${files[@]}" | xargs -P "$jobs" -I{} bash -c 'tidy_one "$1" || true' _ {} >"$work/tidy.log"
    ours "$work/tidy.log" >"$work/tidy.txt"
    tell tidy $((SECONDS - start)) "${#files[@]} files, clang-tidy $(clang-tidy-16 --version | grep -oE '[0-9]+\.[0-9.]+')" "$work/tidy.txt"
}
# tidy_one FILE: the findings, and on the side its seconds.
tidy_one() {
    local begin=$SECONDS more=()
    case "$1" in */all_headers.cpp) more=(--extra-arg=-Xclang --extra-arg=-analyzer-opt-analyze-headers) ;; esac
    clang-tidy-16 -p "$work/build" --quiet "${more[@]}" "$1" 2>/dev/null
    printf '%s s  %s\n' $((SECONDS - begin)) "${1#"$PWD"/}" >>"$work/seconds.txt"
}
export work
export -f tidy_one

rm -f "$work/seconds.txt"
for part in "${parts[@]}"; do "run_$part"; done
exit "$status"
