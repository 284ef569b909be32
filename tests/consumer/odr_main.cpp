// SPDX-License-Identifier: Apache-2.0
//
// Two files of one program, compiled for different instruction sets, keep their own kernels and
// their own front door: both give the right sum and the same weights, and the program holds two
// symbols of each.
#include <cstddef>
#include <cstdio>
#include <vector>

float dot_here(float const*, float const*, std::size_t);
float dot_there(float const*, float const*, std::size_t);
float round_trip_here(float const*, std::size_t, std::size_t);
float round_trip_there(float const*, std::size_t, std::size_t);

int main() {
    std::vector<float> const ones(1000, 1.0f);
    bool const has_wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    float const base = dot_here(ones.data(), ones.data(), 1000);
    float const wide = has_wide ? dot_there(ones.data(), ones.data(), 1000) : base;
    float const back = round_trip_here(ones.data(), 10, 100);
    float const wide_back = has_wide ? round_trip_there(ones.data(), 10, 100) : back;
    std::printf("%g %g, %g %g\n", static_cast<double>(base), static_cast<double>(wide),
                static_cast<double>(back), static_cast<double>(wide_back));
    return base == 1000.0f && wide == 1000.0f && back == 1.0f && wide_back == 1.0f ? 0 : 1;
}
