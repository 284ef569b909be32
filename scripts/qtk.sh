#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what is missing, builds the `qtk` program and runs it where you are:
#
#   scripts/qtk.sh study --runs 20
#   scripts/qtk.sh generate --prompt "In the beginning"
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh
build_program qtk
program=$PWD/build/quickstart/qtk
cd "$here"
exec "$program" "$@"
