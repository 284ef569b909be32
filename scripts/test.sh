#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what is missing, builds everything, runs every test. Ends with `N passed, M failed`.
#
#   scripts/test.sh [CTEST-ARGUMENT...]      e.g. scripts/test.sh -R '^range:'
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh

need_compiler
need_libraries
need_test_tools
need_charts
need_conan
need_nvcc

build=build/test
say "configuring and building in $build"
mkdir -p build
cmake -S . -B "$build" -G Ninja -DCMAKE_COMPILE_WARNING_AS_ERROR=ON >"$build.log" 2>&1 || {
    cat "$build.log" >&2
    exit 1
}
grep -h 'qtk:' "$build.log" || true
cmake --build "$build" --parallel "$(nproc)"
built=$SECONDS

say "running the tests (installed and built in $built s)"
results="$build/results.xml"
status=0
# Several programs with threads at once: a thread that waits leaves its core to the others.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
ctest --test-dir "$build" --parallel "$(nproc)" --output-on-failure --no-tests=error \
    --output-junit "$PWD/$results" "$@" >"$build/ctest.log" 2>&1 || status=$?
if [ "$status" -ne 0 ]; then cat "$build/ctest.log"; else tail -n 4 "$build/ctest.log"; fi
say "the tests ran for $((SECONDS - built)) s; the longest:"
sed -nE 's/.*Test +#[0-9]+: (.*[^. ]) \.+.* ([0-9.]+) sec$/\2 s  \1/p' "$build/ctest.log" | sort -rn | sed -n 1,10p

# The count that CI reads: from the report that ctest wrote.
python3 - "$results" <<'PY'
import sys
import xml.etree.ElementTree as tree

suite = tree.parse(sys.argv[1]).getroot()
total, failed, skipped = (int(suite.get(k, 0)) for k in ("tests", "failures", "skipped"))
failed += int(suite.get("errors", 0))
for case in suite.iter("testcase"):
    if case.get("status") in ("notrun", "disabled"):
        print(f"skipped: {case.get('name')}")
        if case.get("name") == "cuda: kernels fit a T4":
            print("CUDA was not compiled: no nvcc")
print(f"{total - failed - skipped} passed, {failed} failed")
PY
exit "$status"
