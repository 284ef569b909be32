// SPDX-License-Identifier: Apache-2.0
//
// doctest's main for tests that are built for wider vectors than every processor has: leaves with
// 77, which CTest counts as skipped, before any of their code runs.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <unistd.h>

namespace {

// Ordinary static constructors are built for the wide processor too: this one comes before them.
[[gnu::constructor(101)]] void leave_if_too_narrow() {
    __builtin_cpu_init();
#if defined(QTK_TEST_NEEDS_AVX512)
    bool const is_wide = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
#else
    bool const is_wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    if (!is_wide) _exit(77);
}

}  // namespace
