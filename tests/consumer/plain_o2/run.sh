#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A program compiled without any -m flag takes the widest instruction set that the processor says it has; QTK_ISA forces
# another one, and a name that cannot be had is one clear error. $1: the program, or the folder of headers to compile it
# with plain -O2; $2: a scratch folder.
set -euo pipefail
mkdir -p "$2"
program=$1
if [ -d "$1" ]; then
    program="$2/two_lines"
    "${CXX:-g++}" -std=c++20 -O2 -I"$1" "$(dirname "$0")/two_lines.cpp" -o "$program"
fi

has() { for flag in "$@"; do grep -qw "$flag" /proc/cpuinfo || return 1; done; }
expected=xsimd
printf '#include <xsimd/xsimd.hpp>\n' | "${CXX:-g++}" -std=c++20 -fsyntax-only -x c++ - 2>/dev/null || expected=scalar
plain=$expected
if has avx2 fma f16c; then expected=avx2; fi
if has avx2 fma f16c avx512f avx512bw avx512vl avx512dq avx512_vnni; then
    expected=avx512
    if has amx_tile amx_int8 amx_bf16 avx512_vbmi gfni avx512_bf16; then expected=amx; fi
fi

check() {
    local found
    found=$("${@:2}" 2>&1) || true
    if [ "$found" != "$1" ]; then
        printf 'expected: %s\nfound:    %s\n' "$1" "$found"
        exit 1
    fi
    echo "$found"
}
check "$expected 128" env -u QTK_ISA "$program"
check "scalar 128" env QTK_ISA=scalar "$program"
check "$plain 128" env QTK_ISA="$plain" "$program"
offered=$(QTK_ISA=sse9 "$program" || true)
case "$offered" in
    "QTK_ISA=sse9: no instruction set has that name; expected one of: scalar "*"$expected") echo "$offered" ;;
    *) echo "unclear error: $offered"; exit 1 ;;
esac
if [ "$expected" != amx ]; then
    refused=$(QTK_ISA=amx "$program" || true)
    case "$refused" in
        "QTK_ISA=amx: this processor or system does not have it; expected one of: scalar "*) echo "$refused" ;;
        *) echo "unclear error: $refused"; exit 1 ;;
    esac
fi
