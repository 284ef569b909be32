#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds and runs the consumer with the flags that pkg-config gives for the install tree $1, into the folder $2.
set -euo pipefail
mkdir -p "$2"
flags=$(PKG_CONFIG_PATH="$1/share/pkgconfig:$1/lib/pkgconfig" pkg-config --cflags qtk)
# A folder with a space comes quoted for a shell.
eval "flags=($flags)"
"${CXX:-g++}" -std=c++20 "${flags[@]}" "$(dirname "$0")/../main.cpp" -o "$2/consumer"
"$2/consumer"
