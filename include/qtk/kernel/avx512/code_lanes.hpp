// SPDX-License-Identifier: Apache-2.0
//
// Which codes do sixteen values get? The lanes of tile_quantizer::encode: a division, or the product
// that gives the same code (see code_rule.hpp), a rounding, and codes narrowed to bytes, where
// integers are clamped by saturation.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/concepts.hpp>
#include <qtk/kernel/code_rule.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86
QTK_AVX512_REGION
namespace qtk::avx512 {
inline namespace QTK_ABI_NS {

/// What the lanes of one tile have in common. By value: through a pointer the stores of fields
/// would make every one of them be loaded again.
struct tile_lanes {
    __m512 scale, inverse, rest, low, high;
};

template <bool ByProduct>
[[nodiscard]] QTK_ALWAYS_INLINE tile_lanes lanes_of(code_rule const& rule, tile_params const& p,
                                                    float const* inverse,
                                                    float const* rest) noexcept {
    tile_lanes t;
    if constexpr (ByProduct) {
        t.scale = t.low = t.high = _mm512_setzero_ps();
        t.inverse = _mm512_set1_ps(*inverse);
        t.rest = _mm512_set1_ps(*rest);
    } else {
        t.inverse = t.rest = _mm512_setzero_ps();
        t.scale = _mm512_set1_ps(p.scale);
        t.low = _mm512_set1_ps(static_cast<float>(rule.lowest - p.zero));
        t.high = _mm512_set1_ps(static_cast<float>(rule.highest - p.zero));
    }
    return t;
}

/// How codes become bytes: the zero to add, in 16 bits, and the bounds, in 8.
struct byte_lanes {
    __m512i zero, lowest, highest;
};

[[nodiscard]] QTK_ALWAYS_INLINE byte_lanes bytes_for(code_rule const& rule, int zero) noexcept {
    return {_mm512_set1_epi16(static_cast<short>(zero)),
            _mm512_set1_epi8(static_cast<char>(rule.lowest)),
            _mm512_set1_epi8(static_cast<char>(rule.highest))};
}

/// The integers that round_by<R> gives, |v| < 2^22 or, half to even and away, below 2^31.
template <rounding R>
[[nodiscard]] QTK_ALWAYS_INLINE __m512i round_lanes(__m512 v, __m512 dither) noexcept {
    if constexpr (R == rounding::nearest_even) {
        return _mm512_cvtps_epi32(v);
    } else if constexpr (R == rounding::nearest_away) {
        // The float below a half: added to a half it rounds up to one, to anything less it does
        // not. 0xf8 is a | (b & c): the sign of v on the half.
        __m512i const half =
            _mm512_ternarylogic_epi32(_mm512_castps_si512(_mm512_set1_ps(0.49999997f)),
                                      _mm512_castps_si512(v), _mm512_set1_epi32(INT32_MIN), 0xf8);
        return _mm512_cvttps_epi32(_mm512_add_ps(v, _mm512_castsi512_ps(half)));
    } else {
        __m512 const below = _mm512_floor_ps(v);
        __mmask16 const is_up = _mm512_cmp_ps_mask(dither, _mm512_sub_ps(v, below), _CMP_LT_OQ);
        __m512i const whole = _mm512_cvttps_epi32(below);
        return _mm512_mask_add_epi32(whole, is_up, whole, _mm512_set1_epi32(1));
    }
}

/// The fields of x / scale; `sign_of` has the sign of x (a quotient by product loses that of zero).
template <rounding R>
[[nodiscard]] QTK_ALWAYS_INLINE __m512i minifloat_lanes(minifloat_rule const& rule, __m512 v,
                                                        __m512 sign_of, __m512 dither) noexcept {
    __m512i const exponents = _mm512_set1_epi32(0x7f800000);
    __m512i const smallest = _mm512_set1_epi32(rule.smallest);
    __m128i const shift = _mm_cvtsi32_si128(23 - rule.mantissa);
    __m512 const magnitude = _mm512_min_ps(_mm512_abs_ps(v), _mm512_set1_ps(rule.largest));
    __m512i const exponent =
        _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(magnitude), exponents), smallest);
    __m512 const per_unit = _mm512_castsi512_ps(
        _mm512_sub_epi32(_mm512_set1_epi32((254 + rule.mantissa) << 23), exponent));
    __mmask16 const is_negative = _mm512_movepi32_mask(_mm512_castps_si512(sign_of));
    __m512 const toss = R == rounding::stochastic
                            ? _mm512_mask_sub_ps(dither, is_negative, _mm512_set1_ps(1.0f), dither)
                            : dither;
    __m512i const count = round_lanes<R>(_mm512_mul_ps(magnitude, per_unit), toss);
    __m512i const field = _mm512_min_epi32(
        _mm512_add_epi32(_mm512_srl_epi32(_mm512_sub_epi32(exponent, smallest), shift), count),
        _mm512_set1_epi32(rule.top));
    return _mm512_mask_or_epi32(field, is_negative, field, _mm512_set1_epi32(rule.sign));
}

/// Ranks of v among the levels of a codebook: four comparisons down a tree.
template <rounding R>
[[nodiscard]] QTK_ALWAYS_INLINE __m512i rank_lanes(code_rule const& rule, __m512 v,
                                                   __m512 dither) noexcept {
    __m512i const one = _mm512_set1_epi32(1);
    __m512i rank = _mm512_setzero_si512();
    QTK_UNROLL
    for (std::size_t k = 0; k < 4; ++k) {
        __m512 const threshold = _mm512_permutexvar_ps(
            rank, _mm512_castps256_ps512(_mm256_load_ps(rule.search[k].data())));
        __mmask16 const is_above = _mm512_cmp_ps_mask(v, threshold, _CMP_GT_OQ);
        rank = _mm512_add_epi32(rank, rank);
        rank = _mm512_mask_add_epi32(rank, is_above, rank, one);
    }
    if constexpr (R == rounding::stochastic) {
        __m512 const level = _mm512_load_ps(rule.level.data());
        __m512 const low = _mm512_permutexvar_ps(rank, level);
        __m512i const next = _mm512_min_epi32(_mm512_add_epi32(rank, one), _mm512_set1_epi32(15));
        __m512 const gap = _mm512_sub_ps(_mm512_permutexvar_ps(next, level), low);
        // Past the last level the gap is infinite or zero: the comparison must not be asked.
        __mmask16 const is_inside = _mm512_cmp_ps_mask(gap, _mm512_setzero_ps(), _CMP_GT_OQ) &
                                    _mm512_cmp_ps_mask(gap, _mm512_set1_ps(2.0f), _CMP_LT_OQ);
        __mmask16 const is_up = _mm512_mask_cmp_ps_mask(is_inside, _mm512_sub_ps(v, low),
                                                        _mm512_mul_ps(dither, gap), _CMP_GT_OQ);
        rank = _mm512_mask_add_epi32(rank, is_up, rank, one);
    }
    return rank;
}

/// Sixteen codes; those of integers before the zero is added.
template <code_kind Kind, rounding R, bool ByProduct>
[[nodiscard]] QTK_ALWAYS_INLINE __m512i code_lanes(code_rule const& rule, minifloat_rule const& m,
                                                   tile_lanes const& t, __m512 x,
                                                   __m512 dither) noexcept {
    __m512 const v = ByProduct ? _mm512_fmadd_ps(x, t.inverse, _mm512_mul_ps(x, t.rest))
                               : _mm512_div_ps(x, t.scale);
    if constexpr (Kind == code_kind::integer) {
        if constexpr (ByProduct) return round_lanes<R>(v, dither);
        return round_lanes<R>(_mm512_min_ps(_mm512_max_ps(v, t.low), t.high), dither);
    } else if constexpr (Kind == code_kind::minifloat) {
        return minifloat_lanes<R>(m, v, ByProduct ? x : v, dither);
    } else if constexpr (Kind == code_kind::nf4) {
        return rank_lanes<R>(rule, v, dither);
    } else {
        __mmask16 const is_negative = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_LT_OQ);
        __m512 const toss =
            R == rounding::stochastic
                ? _mm512_mask_sub_ps(dither, is_negative, _mm512_set1_ps(1.0f), dither)
                : dither;
        __m512i const rank = rank_lanes<R>(rule, _mm512_abs_ps(v), toss);
        // Ranks 2, 3 and 6, 7 trade places: bit 1 flips bit 2.
        __m512i const two = _mm512_and_si512(rank, _mm512_set1_epi32(2));
        __m512i const field = _mm512_xor_si512(rank, _mm512_add_epi32(two, two));
        return _mm512_mask_or_epi32(field, is_negative, field, _mm512_set1_epi32(8));
    }
}

/// 64 codes to bytes, in order.
[[nodiscard]] QTK_ALWAYS_INLINE __m512i bytes_of(__m512i a, __m512i b, __m512i c, __m512i d,
                                                 byte_lanes const& t) noexcept {
    __m512i const ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), t.zero);
    __m512i const cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), t.zero);
    __m512i const bytes =
        _mm512_max_epu8(_mm512_min_epu8(_mm512_packus_epi16(ab, cd), t.highest), t.lowest);
    // Packing works within quarters of a vector: dword 4 q + k is part q of vector k.
    __m512i const order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, bytes);
}

/// One 64-bit word of the stream of `seed` a lane, times 2^-24 of its top 24 bits: half_open_unit.
[[nodiscard]] QTK_ALWAYS_INLINE __m256i dither_bits(__m512i z) noexcept {
    z = _mm512_mullo_epi64(_mm512_xor_si512(z, _mm512_srli_epi64(z, 30)),
                           _mm512_set1_epi64(static_cast<long long>(0xBF58476D1CE4E5B9ull)));
    z = _mm512_mullo_epi64(_mm512_xor_si512(z, _mm512_srli_epi64(z, 27)),
                           _mm512_set1_epi64(static_cast<long long>(0x94D049BB133111EBull)));
    return _mm512_cvtepi64_epi32(
        _mm512_srli_epi64(_mm512_xor_si512(z, _mm512_srli_epi64(z, 31)), 40));
}
[[nodiscard]] QTK_ALWAYS_INLINE __m512 dither_lanes(dither_source d, std::size_t i) noexcept {
    constexpr std::uint64_t gamma = splitmix64::golden_gamma;
    __m512i const step = _mm512_mullo_epi64(_mm512_setr_epi64(1, 2, 3, 4, 5, 6, 7, 8),
                                            _mm512_set1_epi64(static_cast<long long>(gamma)));
    std::uint64_t const base = d.seed + (d.first + i) * gamma;
    __m512i const low = _mm512_add_epi64(_mm512_set1_epi64(static_cast<long long>(base)), step);
    __m512i const high =
        _mm512_add_epi64(low, _mm512_set1_epi64(static_cast<long long>(8 * gamma)));
    __m512i const bits =
        _mm512_inserti64x4(_mm512_castsi256_si512(dither_bits(low)), dither_bits(high), 1);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(bits), _mm512_set1_ps(0x1p-24f));
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512
QTK_REGION_END
#endif
