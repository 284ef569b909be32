#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what is missing, builds the `quant-energy` program and runs it where you are:
#
#   scripts/quant-energy.sh study --report study.html
#   scripts/quant-energy.sh calibrate --plan-only
#   sudo scripts/quant-energy.sh calibrate --out my-machine.json
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh
build_program quant-energy
program=$PWD/build/quickstart/quant-energy
cd "$here"
exec "$program" "$@"
