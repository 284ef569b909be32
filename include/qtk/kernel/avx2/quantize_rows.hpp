// SPDX-License-Identifier: Apache-2.0
//
// How does AVX2 quantize a row of activations? 32 values a turn, in the same order of roundings as
// quantize_row_scalar: one true division, one rounding to even; so the bytes are the same.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/quantized_rows.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#if QTK_HAS_X86

namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

QTK_AVX2_REGION

/// The largest magnitude; infinity and NaN are larger than every number, as bit patterns are.
[[nodiscard]] inline float largest_magnitude(float const* x, std::size_t n) noexcept {
    __m256i const magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i largest = _mm256_setzero_si256(), other = largest;
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i const a = _mm256_castps_si256(_mm256_loadu_ps(x + i));
        __m256i const b = _mm256_castps_si256(_mm256_loadu_ps(x + i + 8));
        largest = _mm256_max_epi32(largest, _mm256_and_si256(a, magnitude));
        other = _mm256_max_epi32(other, _mm256_and_si256(b, magnitude));
    }
    alignas(32) float lane[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lane), _mm256_max_epi32(largest, other));
    // Reduced through the twin: 8 lanes do not pay for a shuffle tree.
    float const ends[2] = {detail::largest_bits(lane, 8), detail::largest_bits(x + i, n - i)};
    return detail::largest_bits(ends, 2);
}

/// 32 codes of x / scale to `to`; their sum in 8 parts.
[[nodiscard]] QTK_ALWAYS_INLINE __m256i quantize_32(float const* x, __m256 scale,
                                                    std::int8_t* to) noexcept {
    __m256 const top = _mm256_set1_ps(127.0f), bottom = _mm256_set1_ps(-127.0f);
    __m256i code[4];
    QTK_UNROLL
    for (int i = 0; i < 4; ++i) {
        __m256 const level = _mm256_div_ps(_mm256_loadu_ps(x + 8 * i), scale);
        code[i] = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(level, bottom), top));
    }
    // Packing works inside halves; the permutation puts the quarters back into order.
    __m256i const bytes = _mm256_packs_epi16(_mm256_packs_epi32(code[0], code[1]),
                                             _mm256_packs_epi32(code[2], code[3]));
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(to),
        _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
    return _mm256_add_epi32(_mm256_add_epi32(code[0], code[1]), _mm256_add_epi32(code[2], code[3]));
}

/// Codes of one segment and their sum; zeros if the scale is NaN.
inline std::int32_t quantize_segment(float const* x, segment_place const& place, float scale,
                                     quantized_rows const& to, std::size_t row) noexcept {
    if (scale != scale) {
        for (std::size_t i = 0; i < place.depth_count; i += unit_depth)
            std::memset(to.code(row, place.depth + i), 0, unit_depth);
        return 0;
    }
    __m256 const divisor = _mm256_set1_ps(scale);
    __m256i sum = _mm256_setzero_si256();
    for (std::size_t i = 0; i < place.depth_count; i += unit_depth) {
        alignas(32) float filled[unit_depth];
        float const* from = x + place.first + i;
        if (i + unit_depth > place.count) {
            std::memset(filled, 0, sizeof filled);
            if (i < place.count) std::memcpy(filled, from, (place.count - i) * sizeof(float));
            from = filled;
        }
        sum = _mm256_add_epi32(sum, quantize_32(from, divisor, to.code(row, place.depth + i)));
    }
    alignas(32) std::int32_t lane[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lane), sum);
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
           ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

/// Row `row` of activations: x is its cols floats, w the layout of the weights.
inline void quantize_row(float const* x, std::size_t row, packed_layout const& w,
                         quantized_rows const& to) noexcept {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    float shared = nan;
    if (to.has_row_scales()) {
        float const largest = largest_magnitude(x, w.cols);
        if (!is_nonfinite(largest))
            shared = to.sharing == activation_scale::fixed ? to.fixed_scale : int8_scale(largest);
        to.scales[row] = shared;
    }
    std::size_t segment = 0;
    for (std::size_t g = 0; g < w.groups; ++g)
        for (std::size_t s = 0; s * to.plan.units < w.units_of(g); ++s, ++segment) {
            segment_place const place = place_of_segment(w, to.plan, g, s);
            float scale = shared;
            if (!to.has_row_scales()) {
                float const largest = largest_magnitude(x + place.first, place.count);
                scale = is_nonfinite(largest) ? nan : int8_scale(largest);
                to.scales[to.at(row, segment)] = scale;
            }
            to.sums[to.at(row, segment)] = quantize_segment(x, place, scale, to, row);
        }
    // The axis is filled up to whole tiles.
    for (std::size_t k = w.depth(); k < to.depth_tiles * tile_depth; k += unit_depth)
        std::memset(to.code(row, k), 0, unit_depth);
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2

#endif
