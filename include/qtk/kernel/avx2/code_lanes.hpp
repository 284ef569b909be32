// SPDX-License-Identifier: Apache-2.0
//
// Which codes do eight values get? The lanes of tile_quantizer::encode: a division, or the product
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
QTK_AVX2_REGION
namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

/// What the lanes of one tile have in common. By value: through a pointer the stores of fields
/// would make every one of them be loaded again.
struct tile_lanes {
    __m256 scale, inverse, rest, low, high;
};

template <bool ByProduct>
[[nodiscard]] QTK_ALWAYS_INLINE tile_lanes lanes_of(code_rule const& rule, tile_params const& p,
                                                    float const* inverse,
                                                    float const* rest) noexcept {
    tile_lanes t;
    if constexpr (ByProduct) {
        t.scale = t.low = t.high = _mm256_setzero_ps();
        t.inverse = _mm256_set1_ps(*inverse);
        t.rest = _mm256_set1_ps(*rest);
    } else {
        t.inverse = t.rest = _mm256_setzero_ps();
        t.scale = _mm256_set1_ps(p.scale);
        t.low = _mm256_set1_ps(static_cast<float>(rule.lowest - p.zero));
        t.high = _mm256_set1_ps(static_cast<float>(rule.highest - p.zero));
    }
    return t;
}

/// How codes become bytes: the zero to add, in 16 bits, and the bounds, in 8.
struct byte_lanes {
    __m256i zero, lowest, highest;
};

[[nodiscard]] QTK_ALWAYS_INLINE byte_lanes bytes_for(code_rule const& rule, int zero) noexcept {
    return {_mm256_set1_epi16(static_cast<short>(zero)),
            _mm256_set1_epi8(static_cast<char>(rule.lowest)),
            _mm256_set1_epi8(static_cast<char>(rule.highest))};
}

[[nodiscard]] QTK_ALWAYS_INLINE __m256 sign_bits() noexcept {
    return _mm256_set1_ps(-0.0f);
}
[[nodiscard]] QTK_ALWAYS_INLINE __m256 magnitude_of(__m256 v) noexcept {
    return _mm256_andnot_ps(sign_bits(), v);
}
/// 1 - dither where the mask holds: stochastic rounding goes up or down on the number line.
[[nodiscard]] QTK_ALWAYS_INLINE __m256 mirrored(__m256 dither, __m256 mask) noexcept {
    return _mm256_blendv_ps(dither, _mm256_sub_ps(_mm256_set1_ps(1.0f), dither), mask);
}

/// The integers that round_by<R> gives, |v| < 2^22 or, half to even and away, below 2^31.
template <rounding R>
[[nodiscard]] QTK_ALWAYS_INLINE __m256i round_lanes(__m256 v, __m256 dither) noexcept {
    if constexpr (R == rounding::nearest_even) {
        return _mm256_cvtps_epi32(v);
    } else if constexpr (R == rounding::nearest_away) {
        // The float below a half: added to a half it rounds up to one, to anything less it does
        // not.
        __m256 const half =
            _mm256_or_ps(_mm256_and_ps(v, sign_bits()), _mm256_set1_ps(0.49999997f));
        return _mm256_cvttps_epi32(_mm256_add_ps(v, half));
    } else {
        __m256 const below = _mm256_floor_ps(v);
        __m256 const is_up = _mm256_cmp_ps(dither, _mm256_sub_ps(v, below), _CMP_LT_OQ);
        return _mm256_sub_epi32(_mm256_cvttps_epi32(below), _mm256_castps_si256(is_up));
    }
}

/// The fields of x / scale; `sign_of` has the sign of x (a quotient by product loses that of zero).
template <rounding R>
[[nodiscard]] QTK_ALWAYS_INLINE __m256i minifloat_lanes(minifloat_rule const& rule, __m256 v,
                                                        __m256 sign_of, __m256 dither) noexcept {
    __m256i const smallest = _mm256_set1_epi32(rule.smallest);
    __m128i const shift = _mm_cvtsi32_si128(23 - rule.mantissa);
    __m256 const magnitude = _mm256_min_ps(magnitude_of(v), _mm256_set1_ps(rule.largest));
    __m256i const exponent = _mm256_max_epi32(
        _mm256_and_si256(_mm256_castps_si256(magnitude), _mm256_set1_epi32(0x7f800000)), smallest);
    __m256 const per_unit = _mm256_castsi256_ps(
        _mm256_sub_epi32(_mm256_set1_epi32((254 + rule.mantissa) << 23), exponent));
    __m256i const is_negative = _mm256_srai_epi32(_mm256_castps_si256(sign_of), 31);
    __m256 const toss =
        R == rounding::stochastic ? mirrored(dither, _mm256_castsi256_ps(is_negative)) : dither;
    __m256i const count = round_lanes<R>(_mm256_mul_ps(magnitude, per_unit), toss);
    __m256i const field = _mm256_min_epi32(
        _mm256_add_epi32(_mm256_srl_epi32(_mm256_sub_epi32(exponent, smallest), shift), count),
        _mm256_set1_epi32(rule.top));
    return _mm256_or_si256(field, _mm256_and_si256(is_negative, _mm256_set1_epi32(rule.sign)));
}

/// Entries of a table of sixteen.
[[nodiscard]] QTK_ALWAYS_INLINE __m256 look_up(float const* table, __m256i index) noexcept {
    __m256 const low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), index);
    __m256 const high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), index);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}

/// Ranks of v among the levels of a codebook: four comparisons down a tree.
template <rounding R>
[[nodiscard]] QTK_ALWAYS_INLINE __m256i rank_lanes(code_rule const& rule, __m256 v,
                                                   __m256 dither) noexcept {
    __m256i rank = _mm256_setzero_si256();
    QTK_UNROLL
    for (std::size_t k = 0; k < 4; ++k) {
        __m256 const threshold =
            _mm256_permutevar8x32_ps(_mm256_load_ps(rule.search[k].data()), rank);
        __m256 const is_above = _mm256_cmp_ps(v, threshold, _CMP_GT_OQ);
        rank = _mm256_sub_epi32(_mm256_add_epi32(rank, rank), _mm256_castps_si256(is_above));
    }
    if constexpr (R == rounding::stochastic) {
        __m256i const next =
            _mm256_min_epi32(_mm256_add_epi32(rank, _mm256_set1_epi32(1)), _mm256_set1_epi32(15));
        __m256 const low = look_up(rule.level.data(), rank);
        __m256 const gap = _mm256_sub_ps(look_up(rule.level.data(), next), low);
        // Past the last level the gap is infinite or zero: the comparison must not be asked.
        __m256 const is_inside =
            _mm256_and_ps(_mm256_cmp_ps(gap, _mm256_setzero_ps(), _CMP_GT_OQ),
                          _mm256_cmp_ps(gap, _mm256_set1_ps(2.0f), _CMP_LT_OQ));
        __m256 const is_up =
            _mm256_cmp_ps(_mm256_sub_ps(v, low), _mm256_mul_ps(dither, gap), _CMP_GT_OQ);
        rank = _mm256_sub_epi32(rank, _mm256_castps_si256(_mm256_and_ps(is_inside, is_up)));
    }
    return rank;
}

/// Eight codes; those of integers before the zero is added.
template <code_kind Kind, rounding R, bool ByProduct>
[[nodiscard]] QTK_ALWAYS_INLINE __m256i code_lanes(code_rule const& rule, minifloat_rule const& m,
                                                   tile_lanes const& t, __m256 x,
                                                   __m256 dither) noexcept {
    __m256 const v = ByProduct ? _mm256_fmadd_ps(x, t.inverse, _mm256_mul_ps(x, t.rest))
                               : _mm256_div_ps(x, t.scale);
    if constexpr (Kind == code_kind::integer) {
        if constexpr (ByProduct) return round_lanes<R>(v, dither);
        return round_lanes<R>(_mm256_min_ps(_mm256_max_ps(v, t.low), t.high), dither);
    } else if constexpr (Kind == code_kind::minifloat) {
        return minifloat_lanes<R>(m, v, ByProduct ? x : v, dither);
    } else if constexpr (Kind == code_kind::nf4) {
        return rank_lanes<R>(rule, v, dither);
    } else {
        __m256 const is_negative = _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_LT_OQ);
        __m256 const toss = R == rounding::stochastic ? mirrored(dither, is_negative) : dither;
        __m256i const rank = rank_lanes<R>(rule, magnitude_of(v), toss);
        // Ranks 2, 3 and 6, 7 trade places: bit 1 flips bit 2.
        __m256i const two = _mm256_and_si256(rank, _mm256_set1_epi32(2));
        __m256i const field = _mm256_xor_si256(rank, _mm256_add_epi32(two, two));
        return _mm256_or_si256(
            field, _mm256_and_si256(_mm256_castps_si256(is_negative), _mm256_set1_epi32(8)));
    }
}

/// 32 codes to bytes, in order.
[[nodiscard]] QTK_ALWAYS_INLINE __m256i bytes_of(__m256i a, __m256i b, __m256i c, __m256i d,
                                                 byte_lanes const& t) noexcept {
    __m256i const ab = _mm256_adds_epi16(_mm256_packs_epi32(a, b), t.zero);
    __m256i const cd = _mm256_adds_epi16(_mm256_packs_epi32(c, d), t.zero);
    __m256i const bytes =
        _mm256_max_epu8(_mm256_min_epu8(_mm256_packus_epi16(ab, cd), t.highest), t.lowest);
    // Packing works within halves of a vector: dword 4 q + k is part q of vector k.
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

[[nodiscard]] QTK_ALWAYS_INLINE __m256i multiply(__m256i a, std::uint64_t factor) noexcept {
    __m256i const low = _mm256_set1_epi64x(static_cast<long long>(factor & 0xffffffffu));
    __m256i const high = _mm256_set1_epi64x(static_cast<long long>(factor >> 32));
    __m256i const cross = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(a, 32), low),
                                           _mm256_mul_epu32(a, high));
    return _mm256_add_epi64(_mm256_mul_epu32(a, low), _mm256_slli_epi64(cross, 32));
}
/// The top 24 bits of four words of the stream: what half_open_unit takes.
[[nodiscard]] QTK_ALWAYS_INLINE __m256i dither_bits(__m256i z) noexcept {
    z = multiply(_mm256_xor_si256(z, _mm256_srli_epi64(z, 30)), 0xBF58476D1CE4E5B9ull);
    z = multiply(_mm256_xor_si256(z, _mm256_srli_epi64(z, 27)), 0x94D049BB133111EBull);
    return _mm256_srli_epi64(_mm256_xor_si256(z, _mm256_srli_epi64(z, 31)), 40);
}
[[nodiscard]] QTK_ALWAYS_INLINE __m256 dither_lanes(dither_source d, std::size_t i) noexcept {
    constexpr std::uint64_t gamma = splitmix64::golden_gamma;
    auto const base = static_cast<long long>(d.seed + (d.first + i + 1) * gamma);
    __m256i const step =
        _mm256_setr_epi64x(0, static_cast<long long>(gamma), static_cast<long long>(2 * gamma),
                           static_cast<long long>(3 * gamma));
    __m256i const low = _mm256_add_epi64(_mm256_set1_epi64x(base), step);
    __m256i const high =
        _mm256_add_epi64(low, _mm256_set1_epi64x(static_cast<long long>(4 * gamma)));
    // Even dwords of both, half by half; then the halves in order.
    __m256 const mixed = _mm256_shuffle_ps(_mm256_castsi256_ps(dither_bits(low)),
                                           _mm256_castsi256_ps(dither_bits(high)), 0b10'00'10'00);
    __m256i const bits = _mm256_permute4x64_epi64(_mm256_castps_si256(mixed), 0b11'01'10'00);
    return _mm256_mul_ps(_mm256_cvtepi32_ps(bits), _mm256_set1_ps(0x1p-24f));
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2
QTK_REGION_END
#endif
