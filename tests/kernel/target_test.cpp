// SPDX-License-Identifier: Apache-2.0
#include <qtk/kernel/cpu.hpp>
#include <qtk/kernel/target.hpp>

#include <doctest/doctest.h>

#include <array>

#if QTK_HAS_X86

namespace {

QTK_AVX2_REGION
template <int Times>
QTK_ALWAYS_INLINE __m256i repeated(__m256i v) {
    __m256i sum = _mm256_setzero_si256();
    QTK_UNROLL
    for (int i = 0; i < Times; ++i) sum = _mm256_add_epi32(sum, v);
    return sum;
}
void triple_with_avx2(int* x) {
    auto* const at = reinterpret_cast<__m256i*>(x);
    _mm256_storeu_si256(at, repeated<3>(_mm256_loadu_si256(at)));
}
QTK_REGION_END

QTK_AVX512_REGION
void double_with_avx512(int* x) {
    __m512i const v = _mm512_loadu_si512(x);
    _mm512_storeu_si512(x, _mm512_dpbusd_epi32(v, v, _mm512_set1_epi32(1)));
}
QTK_REGION_END

}  // namespace

// This file is compiled without -m flags: that it compiles is the test, that it computes the proof.
TEST_CASE("a file without -m flags holds AVX2 and AVX-512 code") {
    std::array<int, 16> x{};
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<int>(i);
    if (qtk::cpu().avx2) {
        triple_with_avx2(x.data());
        CHECK(x[7] == 21);
        CHECK(x[8] == 8);
    }
    if (qtk::cpu().avx512) {
        std::array<int, 16> y{};
        y.fill(5);
        double_with_avx512(y.data());
        CHECK(y[0] == 10);
        CHECK(y[15] == 10);
    }
}

#endif
