// SPDX-License-Identifier: Apache-2.0
//
// What do a block's header and a row's scales do to finished sums? The roundings of
// product_scalar.hpp, sixteen outputs at a time.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/packed_matrix.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86

namespace qtk::avx512 {
inline namespace QTK_ABI_NS {

QTK_AVX512_REGION

/// Sixteen stored scales as floats, those of half h.
QTK_ALWAYS_INLINE __m512 load_scales(scale_type type, std::uint8_t const* header, int h) {
    if (type == scale_type::f32)
        return _mm512_loadu_ps(reinterpret_cast<float const*>(header) + 16 * h);
    __m256i const bits = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(header + 32 * h));
    if (type == scale_type::f16) return _mm512_cvtph_ps(bits);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

/// The scales of a block, and what zero points add per unit of a segment's sum of activations.
struct block_scales {
    __m512 scale[2];
    __m512 shift[2];
};
/// `factor` is the tensor scale times the unit of looked-up levels; `middle` is 2^(bits - 1).
QTK_ALWAYS_INLINE block_scales load_header(packed_layout const& w, std::uint8_t const* header,
                                           float tensor_scale, float unit, int middle) {
    block_scales s;
    std::size_t const zeros = w.header_bytes - cache_line;
    for (int h = 0; h < 2; ++h) {
        s.scale[h] = _mm512_mul_ps(
            _mm512_mul_ps(load_scales(w.scale, header, h), _mm512_set1_ps(tensor_scale)),
            _mm512_set1_ps(unit));
        s.shift[h] = _mm512_setzero_ps();
        if (w.has_zero) {
            __m512i const zero =
                _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<__m128i const*>(
                    header + zeros + 16 * static_cast<std::size_t>(h))));
            s.shift[h] = _mm512_mul_ps(
                s.scale[h], _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_set1_epi32(middle), zero)));
        }
    }
    return s;
}

/// c += float(dot) * (scale * a), then the zero points' share.
QTK_ALWAYS_INLINE __m512 scaled_sum(__m512i dot, __m512 scale, __m512 shift, bool has_zero, float a,
                                    float a_sum, __m512 c) {
    c = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(scale, _mm512_set1_ps(a)), c);
    return has_zero ? _mm512_fmadd_ps(shift, _mm512_set1_ps(a_sum), c) : c;
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512

#endif
