#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Is the documentation true? Doxygen without warnings, links, options, every block of code; completions and manual pages
# as bash, zsh, fish and mandoc see them; and every command of the pages that this machine can run is run in a copy of
# the source tree. Ends with 0 only when all is clean.
#
#   scripts/hardening/docs.sh             builds the programs first; the commands take about an hour on two cores
#   scripts/hardening/docs.sh --quick     all but running the commands
#   QTK_PROGRAMS=DIR scripts/hardening/docs.sh     with the programs of a build that is there
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh

need_compiler
need_libraries
need_charts
need_torch
need python3 python3 doxygen doxygen mandoc mandoc zsh zsh fish fish git git

work=build/hardening/docs
mkdir -p "$work" build
programs="${QTK_PROGRAMS:-build/quickstart}"
if [ -z "${QTK_PROGRAMS:-}" ]; then
    for program in qtk quant-fairness quant-energy; do build_program "$program"; done
fi

say "Doxygen $(doxygen --version)"
rm -rf build/doxygen
status=0
doxygen docs/Doxyfile 2>"$work/doxygen.log" || status=1
cat "$work/doxygen.log"
printf 'doxygen: %s warnings, %s pages of HTML\n' "$(grep -cE '(warning|error):' "$work/doxygen.log" || true)" \
    "$(find build/doxygen/html -name '*.html' | wc -l)"

say "completions and manual pages: bash ${BASH_VERSION%%(*}, $(zsh --version | cut -d' ' -f1,2), $(fish --version), mandoc"
python3 tests/apps/self_description_check.py "$programs"/{qtk,quant-fairness,quant-energy} || status=1

say "pages: links, commands, options, code"
check() { python3 tests/house/docs_check.py "$@" --flags "-I/usr/include/torch/csrc/api/include" || status=1; }
check self-test >"$work/self-test.log"
check text commands options cpp cmake --programs "$programs"
if [ "${1:-}" != --quick ]; then
    say "commands of the pages"
    check run --programs "$programs" --scratch "$work"
fi
exit "$status"
