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
# Names as the linker sees them: the nm of binutils 2.40 cannot spell clang 19's out.
for name in 3dotE 10dequantizeE 8quantizeI 13fake_quantizeI '8rtn_passI\S*E3runE'; do
    versions=$(nm "$2/odr" | grep -oP " [WV] _ZN[KO]?3qtk(6detail)?[0-9]+\Kabi_[a-z0-9_]+?(?=$name)" | sort -u | wc -l)
    echo "versions of ${name}: $versions"
    [ "$versions" -eq 2 ]
done
