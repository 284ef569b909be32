// SPDX-License-Identifier: Apache-2.0
//
// How does AVX2, which has no bf16, multiply with both factors rounded to it? As floats whose lower
// halves are zero: decoded weights and copied activations are rounded where they lie in the cache.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/avx2/product_f32.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>

#if QTK_HAS_X86

namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

QTK_AVX2_REGION

/// Rounds n floats, a multiple of 8, to bf16 and back: nearest even, NaN stays NaN.
inline void round_to_bf16(float* x, std::size_t n) noexcept {
    __m256i const half = _mm256_set1_epi32(0x7fff), one = _mm256_set1_epi32(1);
    __m256i const upper = _mm256_set1_epi32(-0x10000), quiet = _mm256_set1_epi32(0x400000);
    for (std::size_t i = 0; i < n; i += 8) {
        __m256 const v = _mm256_loadu_ps(x + i);
        __m256i const bits = _mm256_castps_si256(v);
        __m256i const odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), one);
        __m256i const up = _mm256_add_epi32(bits, _mm256_add_epi32(half, odd));
        __m256 const is_nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
        __m256 const kept = _mm256_blendv_ps(
            _mm256_castsi256_ps(up), _mm256_castsi256_ps(_mm256_or_si256(bits, quiet)), is_nan);
        _mm256_storeu_ps(x + i, _mm256_and_ps(kept, _mm256_castsi256_ps(upper)));
    }
}

QTK_REGION_END

struct rounded_to_bf16 {
    static constexpr bool is_plain = false;
    static void run(float* x, std::size_t n) noexcept { round_to_bf16(x, n); }
};

/// A part of a product with activations rounded to bf16; x lies along the filled-up axis.
inline void product_bf16(packed_view const& w, float_rows const& x, product_part const& part,
                         output_rows const& y) {
    product_floats<rounded_to_bf16>(w, x, part, y);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2

#endif
