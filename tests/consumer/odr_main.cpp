// SPDX-License-Identifier: Apache-2.0
//
// Two files of one program, compiled for different instruction sets, keep their own kernels: both give the right sum, and
// the program holds two symbols.
#include <cstddef>
#include <cstdio>
#include <vector>

float dot_here(float const*, float const*, std::size_t);
float dot_there(float const*, float const*, std::size_t);

int main() {
    std::vector<float> const ones(1000, 1.0f);
    float const base = dot_here(ones.data(), ones.data(), 1000);
    float const wide =
        __builtin_cpu_supports("avx2") ? dot_there(ones.data(), ones.data(), 1000) : base;
    std::printf("%g %g\n", static_cast<double>(base), static_cast<double>(wide));
    return base == 1000.0f && wide == 1000.0f ? 0 : 1;
}
