#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Links two files with different -m flags, runs the program and counts the versions of one kernel in it. $1: the folder
# of headers, $2: a scratch folder.
set -euo pipefail
here=$(dirname "$0")
mkdir -p "$2"
"${CXX:-g++}" -std=c++20 -O1 -fno-inline -I"$1" -c "$here/odr_one.cpp" -o "$2/one.o"
"${CXX:-g++}" -std=c++20 -O1 -fno-inline -I"$1" -mavx2 -mfma -mf16c -c "$here/odr_two.cpp" -o "$2/two.o"
"${CXX:-g++}" -std=c++20 -O1 "$here/odr_main.cpp" "$2/one.o" "$2/two.o" -o "$2/odr"
"$2/odr"
versions=$(nm -C "$2/odr" | grep -cE ' [WV] qtk::abi_[a-z0-9_]+::dot\(')
echo "versions of qtk::dot: $versions"
[ "$versions" -eq 2 ]
