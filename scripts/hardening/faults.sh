#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Lets every command of the three programs that writes meet a full disk, each call that fails (all n), each object that finds
# no memory, SIGINT and kill -9 at random moments (200 of each and more), folders that may not be written, inputs and outputs that are none; and
# the library's readers and writers an operator new that fails. Says what was tried; exit status 0 only when nothing was lost.
# As root it also mounts small file systems.
#
#   scripts/hardening/faults.sh [BUILD]     BUILD: a folder that CMake has configured; without it one is made
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh
need_compiler
need_libraries
need python3 python3 '<doctest/doctest.h>' doctest-dev
build=${1:-build/hardening/faults}
[ -f "$build/CMakeCache.txt" ] || cmake -S . -B "$build" -G Ninja -DQTK_BUILD_BENCH=OFF >/dev/null
cmake -S . -B "$build" -DQTK_TEST_ALLOCATIONS=ON >/dev/null
cmake --build "$build" --parallel "$(nproc)" --target qtk_app quant_fairness_app quant_energy_app qtk_failing_calls qtk_test_faults >/dev/null
torch=0
[ "$("$build/quant-energy" train --epochs 0 2>&1 | grep -c libtorch-dev)" -ne 0 ] || torch=1
status=0
"$build/tests/faults/qtk_test_faults" --success=false || status=1
python3 tests/apps/faults_check.py "$build/qtk" . "$build/quant-fairness" "$build/quant-energy" "$torch" \
    "$build/tests/apps/libqtk_failing_calls.so" --long || status=1
exit "$status"
