// SPDX-License-Identifier: Apache-2.0
//
// How much processor time does it take to open a safetensors file? The least of five, in milliseconds, whatever else the
// machine is doing: header_time FILE LIMIT
#include <qtk/io/safetensors.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

int main(int, char** argv) {
    double least = 1e300;
    std::size_t tensors = 0;
    for (int i = 0; i < 5; ++i) {
        std::clock_t const began = std::clock();
        tensors = qtk::safetensors_file::open(argv[1]).tensors().size();
        least = std::min(least, 1e3 * static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC);
    }
    bool const is_fast = least < std::atof(argv[2]);
    std::printf("header of %zu tensors: %.1f ms%s\n", tensors, least,
                is_fast ? "" : "  FAILED: too slow");
    return is_fast ? 0 : 1;
}
