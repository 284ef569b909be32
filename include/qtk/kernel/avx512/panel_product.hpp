// SPDX-License-Identifier: Apache-2.0
//
// Which tile multiplies floats on AVX-512? Up to 12 rows by 32 columns: 24 sums in registers, two
// loads of weights and 12 broadcasts for 24 products, so that loads hide behind products on machines
// with one 512-bit multiplier and with two.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/panel_product.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>

#if QTK_HAS_X86

namespace qtk::avx512 {
inline namespace QTK_ABI_NS {
QTK_AVX512_REGION

/// One k of a tile.
template <std::size_t R>
QTK_ALWAYS_INLINE void multiply_step(float const* x, std::size_t stride, float const* w,
                                     __m512 (&sum)[R][2]) noexcept {
    __m512 const left = _mm512_load_ps(w), right = _mm512_load_ps(w + 16);
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        __m512 const a = _mm512_set1_ps(x[r * stride]);
        sum[r][0] = _mm512_fmadd_ps(a, left, sum[r][0]);
        sum[r][1] = _mm512_fmadd_ps(a, right, sum[r][1]);
    }
}

/// c [R][32] = or += x [R][n], rows `stride` apart, times w [n][32].
template <std::size_t R>
void multiply_tile(float const* x, std::size_t stride, float const* w, std::size_t n, float* c,
                   bool is_first) noexcept {
    __m512 sum[R][2];
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        sum[r][0] = is_first ? _mm512_setzero_ps() : _mm512_load_ps(c + 32 * r);
        sum[r][1] = is_first ? _mm512_setzero_ps() : _mm512_load_ps(c + 32 * r + 16);
    }
    std::size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        QTK_UNROLL
        for (std::size_t j = 0; j < 4; ++j) multiply_step<R>(x + j, stride, w + 32 * j, sum);
        x += 4;
        w += 128;
    }
    for (; k < n; ++k, ++x, w += 32) multiply_step<R>(x, stride, w, sum);
    QTK_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
        _mm512_store_ps(c + 32 * r, sum[r][0]);
        _mm512_store_ps(c + 32 * r + 16, sum[r][1]);
    }
}

inline void stream_rows(float const* c, std::size_t rows, float* y, std::size_t stride) noexcept {
    for (std::size_t r = 0; r < rows; ++r, c += 32, y += stride) {
        _mm512_stream_ps(y, _mm512_load_ps(c));
        _mm512_stream_ps(y + 16, _mm512_load_ps(c + 16));
    }
    _mm_sfence();
}
QTK_REGION_END

inline constexpr panel_engine::tile tiles[] = {
    multiply_tile<1>, multiply_tile<2>,  multiply_tile<3>,  multiply_tile<4>,
    multiply_tile<5>, multiply_tile<6>,  multiply_tile<7>,  multiply_tile<8>,
    multiply_tile<9>, multiply_tile<10>, multiply_tile<11>, multiply_tile<12>};
inline constexpr panel_engine engine{tiles, 12, stream_rows, 1};

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512

#endif
