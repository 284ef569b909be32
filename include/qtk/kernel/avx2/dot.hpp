// SPDX-License-Identifier: Apache-2.0
//
// How are rows multiplied with rows on AVX2? 32 rows of weights are turned around, 8 x 8 floats in
// registers, so that a vector holds 8 of them at one k; from there on it is the product of
// panel_product.hpp, without sums across a vector.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/avx2/panel_product.hpp>
#include <qtk/kernel/panel_product.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstring>

#if QTK_HAS_X86

namespace qtk::avx2 {
inline namespace QTK_ABI_NS {
QTK_AVX2_REGION

/// v[i][j] to to[32 j + i].
QTK_ALWAYS_INLINE void store_turned(__m256 (&v)[8], float* to) noexcept {
    __m256 pair[8], quad[8];
    QTK_UNROLL
    for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    // quad[i + j]: column 4 l + j of rows i .. i + 3 in 128-bit lane l
    QTK_UNROLL
    for (int i = 0; i < 8; i += 4) {
        QTK_UNROLL
        for (int j = 0; j < 2; ++j) {
            __m256d const a = _mm256_castps_pd(pair[i + j]), b = _mm256_castps_pd(pair[i + j + 2]);
            quad[i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
            quad[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
        }
    }
    QTK_UNROLL
    for (int j = 0; j < 4; ++j) {
        _mm256_store_ps(to + 32 * j, _mm256_permute2f128_ps(quad[j], quad[4 + j], 0x20));
        _mm256_store_ps(to + 32 * (4 + j), _mm256_permute2f128_ps(quad[j], quad[4 + j], 0x31));
    }
}

struct turn_rows {
    /// `to` has room for n rounded up to 8.
    static void run(dot_rows w, std::size_t first, std::size_t k, std::size_t n,
                    float* to) noexcept {
        for (std::size_t h = 0; h < 32; h += 8) {
            std::size_t const row = first + h;
            std::size_t const rows = row >= w.count ? 0 : w.count - row < 8 ? w.count - row : 8;
            for (std::size_t i = 0; i < n; i += 8) {
                std::size_t const left = n - i < 8 ? n - i : 8;
                float const* const from = w.data + row * w.stride + k + i;
                __m256 v[8];
                if (left == 8 && rows == 8) {
                    QTK_UNROLL
                    for (std::size_t r = 0; r < 8; ++r) v[r] = _mm256_loadu_ps(from + r * w.stride);
                } else {
                    alignas(32) float edge[8][8] = {};
                    for (std::size_t r = 0; r < rows; ++r)
                        std::memcpy(edge[r], from + r * w.stride, left * sizeof(float));
                    QTK_UNROLL
                    for (std::size_t r = 0; r < 8; ++r) v[r] = _mm256_load_ps(edge[r]);
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
}  // namespace qtk::avx2

#endif
