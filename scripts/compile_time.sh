#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# How long does a user wait for the front door? Compiles a ten-line program that includes <qtk/quantize.hpp> alone, five
# times, with plain `g++ -std=c++20 -O2`, and prints the median beside the goal of 2.5 s. Not a test: machines differ.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/ten.cpp" <<'CPP'
#include <qtk/quantize.hpp>
#include <cstdio>
#include <vector>
int main() {
    constexpr qtk::scheme w4{.element = qtk::i4, .grain = qtk::per_group(64)};
    std::vector<float> weight(256 * 512, 0.25f);
    auto const q = qtk::quantize<w4>(qtk::matrix_view<float const>(weight.data(), 256, 512));
    std::printf("%.2f bits per weight\n", q.bits_per_weight());
}
CPP
for _ in 1 2 3 4 5; do
    start=$(date +%s%N)
    "${CXX:-g++}" -std=c++20 -O2 -Iinclude "$work/ten.cpp" -o "$work/ten"
    echo $((($(date +%s%N) - start) / 1000000))
done | sort -n | awk 'NR == 3 {printf "median %.2f s, goal 2.50 s\n", $1 / 1000}'
