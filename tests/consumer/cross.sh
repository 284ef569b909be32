#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# int8 products have the same bits on aarch64: builds one program for this machine and for aarch64, runs the latter in
# qemu and compares what they print. $1: the folder of headers, $2: a scratch folder, $3: where xsimd/ lies, or nothing.
# Leaves with 77, which CTest counts as skipped, where the compiler or qemu is missing.
set -euo pipefail
here=$(dirname "$0")
for program in aarch64-linux-gnu-g++ qemu-aarch64-static; do
  if ! command -v "$program" >/dev/null; then
    echo "skipped: $program is not installed"
    exit 77
  fi
done
mkdir -p "$2/include"
# xsimd alone: the rest of its folder is for this machine.
[ -z "$3" ] || ln -sfn "$3/xsimd" "$2/include/xsimd"
flags=(-std=c++20 -O2 -I"$1" -I"$2/include")
"${CXX:-g++}" "${flags[@]}" -DQTK_NO_X86_KERNELS "$here/cross.cpp" -o "$2/native"
aarch64-linux-gnu-g++ "${flags[@]}" -static "$here/cross.cpp" -o "$2/aarch64"
"$2/native" | tee "$2/native.txt"
qemu-aarch64-static "$2/aarch64" >"$2/aarch64.txt"
diff "$2/native.txt" "$2/aarch64.txt"
echo "the same bits on aarch64"
