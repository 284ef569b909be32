#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Links two files with different -m flags, runs the program and counts the versions of kernels and of the front door in
# it. $1: the folder of headers, $2: a scratch folder.
set -euo pipefail
here=$(dirname "$0")
mkdir -p "$2"
"${CXX:-g++}" -std=c++20 -O1 -fno-inline -I"$1" -c "$here/odr_one.cpp" -o "$2/one.o"
"${CXX:-g++}" -std=c++20 -O1 -fno-inline -I"$1" -mavx2 -mfma -mf16c -c "$here/odr_two.cpp" -o "$2/two.o"
"${CXX:-g++}" -std=c++20 -O1 "$here/odr_main.cpp" "$2/one.o" "$2/two.o" -o "$2/odr"
"$2/odr"
for name in 'dot\(' 'dequantize\(' 'quantize<' 'fake_quantize<' 'detail::[a-z0-9_]*::rtn_pass<.*::run\('; do
    versions=$(nm -C "$2/odr" | grep -E " [WV] .*qtk::([a-z]+::)?abi_[a-z0-9_]+::${name#*::*::}" |
        grep -oE "abi_[a-z0-9_]+" | sort -u | wc -l)
    echo "versions of ${name}: $versions"
    [ "$versions" -eq 2 ]
done
