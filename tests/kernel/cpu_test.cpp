// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/cpu.hpp>

#include <doctest/doctest.h>

TEST_CASE("a wider set brings the narrower one with it") {
    qtk::cpu_features const& f = qtk::cpu();
    CHECK((f.avx2 || !f.avx512));
    CHECK((f.avx2 || !f.avx_vnni));
    CHECK((f.avx512 || !f.avx512_bf16));
    CHECK((f.avx512_bf16 || !f.amx));
}

#if QTK_HAS_X86
TEST_CASE("the compiler's own look at the processor says the same") {
    __builtin_cpu_init();
    CHECK(qtk::cpu().avx2 == (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")));
    CHECK(qtk::cpu().avx512 ==
          (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni")));
}
#endif
