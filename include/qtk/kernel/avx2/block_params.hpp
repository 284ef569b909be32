// SPDX-License-Identifier: Apache-2.0
//
// What do AVX2 kernels read from the header of a block? Scales and zeros of its 32 outputs as
// floats, whatever they are stored as, with the roundings of product_scalar.hpp.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/packed_matrix.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86

namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

/// Of the outputs of one block.
struct block_params {
    alignas(32) float scale[panel_columns];  // tensor scale and unit of the levels included
    alignas(32) float zero[panel_columns];   // the middle of the format without zero points
    float middle = 0.0f;
    bool has_zero = false;
};

/// What the integer levels of a format count in; not cheap.
[[nodiscard]] inline float unit_of_levels(format const& f) noexcept {
    return is_looked_up(f) ? integer_table_of(f).unit : 1.0f;
}

QTK_AVX2_REGION

/// 8 scales of a header as floats.
[[nodiscard]] QTK_ALWAYS_INLINE __m256 stored_scales(scale_type type, std::uint8_t const* header,
                                                     std::size_t column) noexcept {
    if (type == scale_type::f32)
        return _mm256_castsi256_ps(
            _mm256_loadu_si256(reinterpret_cast<__m256i const*>(header + sizeof(float) * column)));
    __m128i const half = _mm_loadu_si128(reinterpret_cast<__m128i const*>(header + 2 * column));
    if (type == scale_type::f16) return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

/// `unit`: what a level counts in.
[[nodiscard]] inline block_params read_block(packed_view const& w, std::uint8_t const* block,
                                             float unit) noexcept {
    block_params to;
    to.middle = static_cast<float>(symmetric_zero(w.element));
    to.has_zero = w.layout.has_zero;
    __m256 const tensor = _mm256_set1_ps(w.tensor_scale), level = _mm256_set1_ps(unit);
    std::uint8_t const* const zeros = block + panel_columns * scale_bytes(w.layout.scale);
    for (std::size_t c = 0; c < panel_columns; c += 8) {
        __m256 const scale = _mm256_mul_ps(stored_scales(w.layout.scale, block, c), tensor);
        _mm256_store_ps(to.scale + c, _mm256_mul_ps(scale, level));
        __m256 zero = _mm256_set1_ps(to.middle);
        if (to.has_zero)
            zero = _mm256_cvtepi32_ps(
                _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<__m128i const*>(zeros + c))));
        _mm256_store_ps(to.zero + c, zero);
    }
    return to;
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2

#endif
