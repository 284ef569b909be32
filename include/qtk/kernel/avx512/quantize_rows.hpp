// SPDX-License-Identifier: Apache-2.0
//
// How fast do activations become int8? One look for the largest magnitude, one for the codes; the
// bytes of quantize_row_scalar.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/quantized_rows.hpp>
#include <qtk/kernel/target.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#if QTK_HAS_X86

namespace qtk::avx512 {
inline namespace QTK_ABI_NS {

QTK_AVX512_REGION

/// Lanes below n.
QTK_ALWAYS_INLINE __mmask16 first_lanes(std::size_t n) {
    return static_cast<__mmask16>(n >= 16 ? 0xffffu : (1u << n) - 1u);
}

/// The largest |x[i]| by its bits, so that infinity and NaN come out on top.
[[nodiscard]] inline float largest_magnitude(float const* x, std::size_t n) noexcept {
    __m512i const magnitude = _mm512_set1_epi32(0x7fffffff);
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        a = _mm512_max_epi32(a, _mm512_and_si512(_mm512_loadu_si512(x + i), magnitude));
        b = _mm512_max_epi32(b, _mm512_and_si512(_mm512_loadu_si512(x + i + 16), magnitude));
        c = _mm512_max_epi32(c, _mm512_and_si512(_mm512_loadu_si512(x + i + 32), magnitude));
        d = _mm512_max_epi32(d, _mm512_and_si512(_mm512_loadu_si512(x + i + 48), magnitude));
    }
    for (; i < n; i += 16)
        a = _mm512_max_epi32(
            a, _mm512_and_si512(_mm512_maskz_loadu_epi32(first_lanes(n - i), x + i), magnitude));
    a = _mm512_max_epi32(_mm512_max_epi32(a, b), _mm512_max_epi32(c, d));
    return std::bit_cast<float>(_mm512_reduce_max_epi32(a));
}

/// Codes of up to 16 values as int32.
QTK_ALWAYS_INLINE __m512i codes_of(float const* x, __mmask16 lanes, __m512 scale) {
    __m512 const v = _mm512_div_ps(_mm512_maskz_loadu_ps(lanes, x), scale);
    __m512 const limit = _mm512_set1_ps(127.0f);
    __m512 const clamped =
        _mm512_min_ps(_mm512_max_ps(v, _mm512_sub_ps(_mm512_setzero_ps(), limit)), limit);
    return _mm512_cvt_roundps_epi32(clamped, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/// Codes of one segment and their sum. The axis is a multiple of 32 long, x may end before.
[[nodiscard]] inline std::int32_t quantize_segment(float const* x, segment_place const& place,
                                                   float scale, quantized_rows const& to,
                                                   std::size_t row) noexcept {
    __m512 const divisor = _mm512_set1_ps(scale);
    __m512i sum = _mm512_setzero_si512();
    bool const is_number = scale == scale;
    for (std::size_t i = 0; i < place.depth_count; i += 16) {
        std::size_t const left = is_number && i < place.count ? place.count - i : 0;
        __m512i const codes = left == 0 ? _mm512_setzero_si512()
                                        : codes_of(x + place.first + i, first_lanes(left), divisor);
        sum = _mm512_add_epi32(sum, codes);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to.code(row, place.depth + i)),
                         _mm512_cvtepi32_epi8(codes));
    }
    return _mm512_reduce_add_epi32(sum);
}

/// The bytes of quantize_row_scalar.
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
    for (std::size_t k = w.depth(); k < to.depth_tiles * tile_depth; k += 16)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to.code(row, k)), _mm_setzero_si128());
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512

#endif
