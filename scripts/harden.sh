#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Everything that looks for faults and takes too long for every change. Each step is a program of its own, with what it does and
# which options it takes in its first lines.
#
#   scripts/harden.sh                 all steps, one after the other (some hours on two cores)
#   scripts/harden.sh fuzz load ...   these steps
#
# A step that fails does not stop the others. Outputs lie in build/hardening/STEP.log; the exit status is 1 if a step failed.
set -euo pipefail
cd "$(dirname "$0")/.."

all=(static docs consumers newcomer sanitizers valgrind coverage exhaustive mutations fuzz faults load)
steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=("${all[@]}")
for step in "${steps[@]}"; do
    if [ ! -x "scripts/hardening/$step.sh" ] && [ ! -x "scripts/hardening/$step.py" ]; then
        echo "error: no step \"$step\"; the steps are: ${all[*]}" >&2
        exit 2
    fi
done

mkdir -p build/hardening
summary=()
failed=0
for step in "${steps[@]}"; do
    printf '== %s: started %s\n' "$step" "$(date +%H:%M)"
    began=$SECONDS
    outcome=clean
    program="scripts/hardening/$step.sh"
    [ -x "$program" ] || program="scripts/hardening/$step.py"
    "$program" 2>&1 | tee "build/hardening/$step.log" || outcome=FAILED
    [ "$outcome" = clean ] || failed=1
    summary+=("$(printf '%-12s %-7s %5d s' "$step" "$outcome" $((SECONDS - began)))")
done
printf '\n%s\n' "== $(date +%F), $(git rev-parse --short HEAD 2>/dev/null || echo 'no git')"
printf '%s\n' "${summary[@]}"
exit "$failed"
