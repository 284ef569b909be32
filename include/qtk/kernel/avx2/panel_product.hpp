// SPDX-License-Identifier: Apache-2.0
//
// Which tile multiplies floats on AVX2? Up to 6 rows by 16 columns, twice for the 32 of a panel: 12
// sums, two loads of weights and a broadcast are 15 of the 16 registers.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/panel_product.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>

#if QTK_HAS_X86

namespace qtk::avx2 {
inline namespace QTK_ABI_NS {
QTK_AVX2_REGION

/// One k of a half tile.
template <std::size_t R>
QTK_ALWAYS_INLINE void multiply_step(float const* x, std::size_t stride, float const* w,
                                     __m256 (&sum)[R][2]) noexcept {
    __m256 const left = _mm256_load_ps(w), right = _mm256_load_ps(w + 8);
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        __m256 const a = _mm256_set1_ps(x[r * stride]);
        sum[r][0] = _mm256_fmadd_ps(a, left, sum[r][0]);
        sum[r][1] = _mm256_fmadd_ps(a, right, sum[r][1]);
    }
}

/// c [R][32] = or += x [R][n], rows `stride` apart, times w [n][32].
template <std::size_t R>
void multiply_tile(float const* x, std::size_t stride, float const* w, std::size_t n, float* c,
                   bool is_first) noexcept {
    for (std::size_t half = 0; half < 32; half += 16) {
        float* const to = c + half;
        float const* a = x;
        float const* b = w + half;
        __m256 sum[R][2];
        QTK_UNROLL
        for (std::size_t r = 0; r < R; ++r) {
            sum[r][0] = is_first ? _mm256_setzero_ps() : _mm256_load_ps(to + 32 * r);
            sum[r][1] = is_first ? _mm256_setzero_ps() : _mm256_load_ps(to + 32 * r + 8);
        }
        std::size_t k = 0;
        for (; k + 4 <= n; k += 4) {
            QTK_UNROLL
            for (std::size_t j = 0; j < 4; ++j) multiply_step<R>(a + j, stride, b + 32 * j, sum);
            a += 4;
            b += 128;
        }
        for (; k < n; ++k, ++a, b += 32) multiply_step<R>(a, stride, b, sum);
        QTK_UNROLL
        for (std::size_t r = 0; r < R; ++r) {
            _mm256_store_ps(to + 32 * r, sum[r][0]);
            _mm256_store_ps(to + 32 * r + 8, sum[r][1]);
        }
    }
}

inline void stream_rows(float const* c, std::size_t rows, float* y, std::size_t stride) noexcept {
    for (std::size_t r = 0; r < rows; ++r, c += 32, y += stride)
        for (std::size_t i = 0; i < 32; i += 8) _mm256_stream_ps(y + i, _mm256_load_ps(c + i));
    _mm_sfence();
}
QTK_REGION_END

inline constexpr panel_engine::tile tiles[] = {multiply_tile<1>, multiply_tile<2>,
                                               multiply_tile<3>, multiply_tile<4>,
                                               multiply_tile<5>, multiply_tile<6>};
inline constexpr panel_engine engine{tiles, 6, stream_rows, 1};

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2

#endif
