#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs what is missing, builds the `qtk` program and runs its main job on the embedded model: quantize it under nine
# schemes and show size, error, perplexity and modelled energy side by side. Arguments go to `qtk quickstart`.
#
#   scripts/quickstart.sh [--windows all] [--schemes i4/g64,nf4/g64] ...
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh

build_program qtk

say "qtk quickstart (about a minute)"
build/quickstart/qtk quickstart --json=build/quickstart.json "$@"
say "the same figures as JSON: build/quickstart.json"
