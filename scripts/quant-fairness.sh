#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what is missing, builds the `quant-fairness` program and runs it where you are:
#
#   scripts/quant-fairness.sh sweep --methods rtn,gptq --report sweep.html
#   scripts/quant-fairness.sh recommend --recipe recipe.txt
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh
build_program quant-fairness
program=$PWD/build/quickstart/quant-fairness
cd "$here"
exec "$program" "$@"
