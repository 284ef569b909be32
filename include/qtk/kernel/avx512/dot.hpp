// SPDX-License-Identifier: Apache-2.0
//
// How are rows multiplied with rows on AVX-512? 32 rows of weights are turned around, 16 x 16 floats
// in registers, so that a vector holds 16 of them at one k; from there on it is the product of
// panel_product.hpp, without sums across a vector.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/avx512/panel_product.hpp>
#include <qtk/kernel/panel_product.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>

#if QTK_HAS_X86

namespace qtk::avx512 {
inline namespace QTK_ABI_NS {
QTK_AVX512_REGION

/// Vector i of v to row i of `to`, 32 floats apart, columns for rows: v[i][j] to to[32 j + i].
QTK_ALWAYS_INLINE void store_turned(__m512 (&v)[16], float* to) noexcept {
    __m512 pair[16], quad[16];
    QTK_UNROLL
    for (int i = 0; i < 16; i += 2) {
        pair[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        pair[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    // quad[i + j]: column 4 l + j of rows i .. i + 3 in 128-bit lane l
    QTK_UNROLL
    for (int i = 0; i < 16; i += 4) {
        QTK_UNROLL
        for (int j = 0; j < 2; ++j) {
            __m512d const a = _mm512_castps_pd(pair[i + j]), b = _mm512_castps_pd(pair[i + j + 2]);
            quad[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            quad[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    QTK_UNROLL
    for (int j = 0; j < 4; ++j) {
        __m512 const even = _mm512_shuffle_f32x4(quad[j], quad[4 + j], 0x88);
        __m512 const odd = _mm512_shuffle_f32x4(quad[j], quad[4 + j], 0xdd);
        __m512 const more_even = _mm512_shuffle_f32x4(quad[8 + j], quad[12 + j], 0x88);
        __m512 const more_odd = _mm512_shuffle_f32x4(quad[8 + j], quad[12 + j], 0xdd);
        _mm512_store_ps(to + 32 * j, _mm512_shuffle_f32x4(even, more_even, 0x88));
        _mm512_store_ps(to + 32 * (4 + j), _mm512_shuffle_f32x4(odd, more_odd, 0x88));
        _mm512_store_ps(to + 32 * (8 + j), _mm512_shuffle_f32x4(even, more_even, 0xdd));
        _mm512_store_ps(to + 32 * (12 + j), _mm512_shuffle_f32x4(odd, more_odd, 0xdd));
    }
}

struct turn_rows {
    /// `to` has room for n rounded up to 16.
    static void run(dot_rows w, std::size_t first, std::size_t k, std::size_t n,
                    float* to) noexcept {
        constexpr std::size_t ahead = 64;  // floats: four lines
        for (std::size_t h = 0; h < 32; h += 16) {
            std::size_t const row = first + h;
            std::size_t const rows = row >= w.count ? 0 : w.count - row < 16 ? w.count - row : 16;
            for (std::size_t i = 0; i < n; i += 16) {
                std::size_t const left = n - i;
                auto const columns =
                    static_cast<__mmask16>(left < 16 ? (1u << left) - 1u : 0xffffu);
                float const* const from = w.data + row * w.stride + k + i;
                __m512 v[16];
                if (rows == 16) {
                    QTK_UNROLL
                    for (std::size_t r = 0; r < 16; ++r) {
                        // Sixteen streams are more than the machine follows by itself.
                        _mm_prefetch(reinterpret_cast<char const*>(from + r * w.stride + ahead),
                                     _MM_HINT_T0);
                        v[r] = _mm512_maskz_loadu_ps(columns, from + r * w.stride);
                    }
                } else {
                    QTK_UNROLL
                    for (std::size_t r = 0; r < 16; ++r)
                        v[r] = r < rows ? _mm512_maskz_loadu_ps(columns, from + r * w.stride)
                                        : _mm512_setzero_ps();
                }
                store_turned(v, to + 32 * i + h);
            }
        }
    }
};
QTK_REGION_END

/// y[m * y_stride + r] = x_m . w_r
inline void dot_all(dot_rows x, dot_rows w, std::size_t n, float* y, std::size_t y_stride) {
    qtk::detail::dot_all_by_panels<turn_rows>(engine, x, w, n, y, y_stride);
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512

#endif
