// SPDX-License-Identifier: Apache-2.0
//
// How do floats become fields sixteen at a time? The lanes of encode_span_scalar: a division (or
// the product that gives the same code, see code_rule.hpp), a rounding, and 64 codes narrowed to
// bytes at once, where integers are clamped by saturation. Plain AVX-512, no VBMI.
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

/// The extremes of the tiles of n values, widened to hold zero. NaN or infinity in a tile leaves
/// NaN or infinity in its interval: bits are compared, and theirs are larger than any number's.
inline void measure_tiles(float const* x, std::size_t n, std::size_t tile, interval* out) noexcept {
    for (std::size_t left = 0; left < n; left += tile, ++out) {
        std::size_t const width = n - left < tile ? n - left : tile;
        // Positive floats rise with their bits as signed integers, negative ones fall with their
        // bits as unsigned integers.
        __m512i up = _mm512_setzero_si512(), down = up, up_too = up, down_too = up;
        std::size_t i = 0;
        for (; i + 32 <= width; i += 32) {
            __m512i const a = _mm512_loadu_si512(x + left + i);
            __m512i const b = _mm512_loadu_si512(x + left + i + 16);
            up = _mm512_max_epi32(up, a);
            down = _mm512_max_epu32(down, a);
            up_too = _mm512_max_epi32(up_too, b);
            down_too = _mm512_max_epu32(down_too, b);
        }
        for (; i < width; i += 16) {
            auto const mask = width - i >= 16 ? __mmask16{0xffff}
                                              : static_cast<__mmask16>((1u << (width - i)) - 1u);
            __m512i const a = _mm512_maskz_loadu_epi32(mask, x + left + i);
            up = _mm512_max_epi32(up, a);
            down = _mm512_max_epu32(down, a);
        }
        up = _mm512_max_epi32(up, up_too);
        down = _mm512_max_epu32(down, down_too);
        // Magnitudes of the negative ones; lanes without any hold a positive number or zero.
        down = _mm512_max_epi32(_mm512_xor_si512(down, _mm512_set1_epi32(INT32_MIN)),
                                _mm512_setzero_si512());
        // Both go through the same folds, as neighbours.
        __m512i const both =
            _mm512_max_epi32(_mm512_unpacklo_epi32(up, down), _mm512_unpackhi_epi32(up, down));
        __m256i const eight = _mm256_max_epi32(_mm512_castsi512_si256(both),
                                               _mm512_extracti64x4_epi64(both, 1));
        __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight),
                                     _mm256_extracti128_si256(eight, 1));
        four = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
        __m128 const ends = _mm_castsi128_ps(four);
        out->highest = _mm_cvtss_f32(ends);
        out->lowest = -_mm_cvtss_f32(_mm_movehdup_ps(ends));
    }
}

/// What the lanes of one tile have in common.
struct tile_lanes {
    __m512 scale, inverse, rest, low, high;
    __m512i zero, lowest, highest;  // of 16, 8 and 8 bits
};

[[nodiscard]] QTK_ALWAYS_INLINE tile_lanes lanes_of(tile_params p, code_rule const& rule) noexcept {
    __m128 const scale = _mm_set_ss(p.scale), one = _mm_set_ss(1.0f);
    __m128 const inverse = _mm_div_ss(one, scale);
    __m128 const rest = _mm_mul_ss(_mm_fnmadd_ss(inverse, scale, one), inverse);
    return {_mm512_broadcastss_ps(scale),
            _mm512_broadcastss_ps(inverse),
            _mm512_broadcastss_ps(rest),
            _mm512_set1_ps(static_cast<float>(rule.lowest - p.zero)),
            _mm512_set1_ps(static_cast<float>(rule.highest - p.zero)),
            _mm512_set1_epi16(static_cast<short>(p.zero)),
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
        __m512i const half = _mm512_ternarylogic_epi32(
            _mm512_castps_si512(_mm512_set1_ps(0.49999997f)), _mm512_castps_si512(v),
            _mm512_set1_epi32(INT32_MIN), 0xf8);
        return _mm512_cvttps_epi32(_mm512_add_ps(v, _mm512_castsi512_ps(half)));
    } else {
        __m512 const below = _mm512_roundscale_ps(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
        __mmask16 const is_up =
            _mm512_cmp_ps_mask(dither, _mm512_sub_ps(v, below), _CMP_LT_OQ);
        __m512i const whole = _mm512_cvttps_epi32(below);
        return _mm512_mask_add_epi32(whole, is_up, whole, _mm512_set1_epi32(1));
    }
}

/// The fields of x / scale; `sign_of` has the sign of x (a quotient by product loses that of zero).
template <rounding R>
[[nodiscard]] QTK_ALWAYS_INLINE __m512i minifloat_lanes(code_rule const& rule, __m512 v,
                                                        __m512 sign_of, __m512 dither) noexcept {
    __m512i const exponents = _mm512_set1_epi32(0x7f800000);
    __m512i const smallest = _mm512_set1_epi32(rule.smallest);
    __m128i const shift = _mm_cvtsi32_si128(23 - rule.mantissa);
    __m512 const magnitude = _mm512_min_ps(_mm512_abs_ps(v), _mm512_set1_ps(rule.largest));
    __m512i const exponent = _mm512_max_epi32(
        _mm512_and_si512(_mm512_castps_si512(magnitude), exponents), smallest);
    __m512 const per_unit = _mm512_castsi512_ps(
        _mm512_sub_epi32(_mm512_set1_epi32((254 + rule.mantissa) << 23), exponent));
    __mmask16 const is_negative = _mm512_movepi32_mask(_mm512_castps_si512(sign_of));
    __m512 const toss =
        R == rounding::stochastic
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
        __mmask16 const is_inside =
            _mm512_cmp_ps_mask(gap, _mm512_setzero_ps(), _CMP_GT_OQ) &
            _mm512_cmp_ps_mask(gap, _mm512_set1_ps(2.0f), _CMP_LT_OQ);
        __mmask16 const is_up = _mm512_mask_cmp_ps_mask(
            is_inside, _mm512_sub_ps(v, low), _mm512_mul_ps(dither, gap), _CMP_GT_OQ);
        rank = _mm512_mask_add_epi32(rank, is_up, rank, one);
    }
    return rank;
}

/// Sixteen codes; those of integers before the zero is added.
template <code_kind Kind, rounding R, bool ByProduct>
[[nodiscard]] QTK_ALWAYS_INLINE __m512i code_lanes(code_rule const& rule, tile_lanes const& t,
                                                   __m512 x, __m512 dither) noexcept {
    __m512 const v = ByProduct ? _mm512_fmadd_ps(x, t.inverse, _mm512_mul_ps(x, t.rest))
                               : _mm512_div_ps(x, t.scale);
    if constexpr (Kind == code_kind::integer) {
        if constexpr (ByProduct) return round_lanes<R>(v, dither);
        return round_lanes<R>(_mm512_min_ps(_mm512_max_ps(v, t.low), t.high), dither);
    } else if constexpr (Kind == code_kind::minifloat) {
        return minifloat_lanes<R>(rule, v, ByProduct ? x : v, dither);
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
                                                 tile_lanes const& t) noexcept {
    __m512i const ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), t.zero);
    __m512i const cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), t.zero);
    __m512i const bytes = _mm512_max_epu8(
        _mm512_min_epu8(_mm512_packus_epi16(ab, cd), t.highest), t.lowest);
    // Packing works within quarters of a vector: dword 4 q + k is part q of vector k.
    __m512i const order =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
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
    __m512i const step = _mm512_mullo_epi64(
        _mm512_setr_epi64(1, 2, 3, 4, 5, 6, 7, 8), _mm512_set1_epi64(static_cast<long long>(gamma)));
    std::uint64_t const base = d.seed + (d.first + i) * gamma;
    __m512i const low = _mm512_add_epi64(_mm512_set1_epi64(static_cast<long long>(base)), step);
    __m512i const high =
        _mm512_add_epi64(low, _mm512_set1_epi64(static_cast<long long>(8 * gamma)));
    __m512i const bits = _mm512_inserti64x4(_mm512_castsi256_si512(dither_bits(low)),
                                            dither_bits(high), 1);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(bits), _mm512_set1_ps(0x1p-24f));
}

/// The fields of the first `count` of 64 values; all of them if Whole.
template <code_kind Kind, rounding R, bool ByProduct, bool Whole>
QTK_ALWAYS_INLINE void encode_block(code_rule const& rule, tile_lanes const& t, float const* x,
                                    std::size_t count, dither_source dither,
                                    std::uint8_t* fields) noexcept {
    __mmask64 const wanted = Whole ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
    __m512i code[4];
    QTK_UNROLL
    for (std::size_t k = 0; k < 4; ++k) {
        __m512 const v = Whole ? _mm512_loadu_ps(x + 16 * k)
                               : _mm512_maskz_loadu_ps(
                                     static_cast<__mmask16>(wanted >> (16 * k)), x + 16 * k);
        __m512 chance = _mm512_setzero_ps();
        if constexpr (R == rounding::stochastic) chance = dither_lanes(dither, 16 * k);
        code[k] = code_lanes<Kind, R, ByProduct>(rule, t, v, chance);
    }
    __m512i const bytes = bytes_of(code[0], code[1], code[2], code[3], t);
    if constexpr (Whole)
        _mm512_storeu_si512(fields, bytes);
    else
        _mm512_mask_storeu_epi8(fields, wanted, bytes);
}

/// The fields of n values of one tile.
template <code_kind Kind, rounding R, bool ByProduct>
void encode_tile(code_rule const& rule, tile_params p, float const* x, std::size_t n,
                 dither_source dither, std::uint8_t* fields) noexcept {
    tile_lanes const t = lanes_of(p, rule);
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        QTK_UNROLL
        for (std::size_t k = 0; k < 64; k += 16)
            _mm_prefetch(reinterpret_cast<char const*>(x + i + encode_ahead + k), _MM_HINT_T0);
        encode_block<Kind, R, ByProduct, true>(rule, t, x + i, 64, dither.from(i), fields + i);
    }
    if (i < n)
        encode_block<Kind, R, ByProduct, false>(rule, t, x + i, n - i, dither.from(i), fields + i);
}

/// The fields of n values of one row, of which the first has the column `left`; p are the row's
/// tiles. `is_bounded`: no |x| is above 2^20 scales of its tile.
template <code_kind Kind, rounding R>
void encode_tiles(code_rule const& rule, tile_params const* p, float const* x, std::size_t n,
                  std::size_t left, std::size_t tile, bool is_bounded, dither_source dither,
                  std::uint8_t* fields) noexcept {
    std::size_t j = left / tile, room = (j + 1) * tile - left;
    for (std::size_t i = 0; i < n; ++j, room = tile) {
        std::size_t const width = n - i < room ? n - i : room;
        if constexpr ((Kind == code_kind::integer || Kind == code_kind::minifloat) &&
                      R != rounding::stochastic) {
            if (is_bounded && divides_by_product(p[j].scale))
                encode_tile<Kind, R, true>(rule, p[j], x + i, width, dither, fields + i);
            else
                encode_tile<Kind, R, false>(rule, p[j], x + i, width, dither, fields + i);
        } else {
            encode_tile<Kind, R, false>(rule, p[j], x + i, width, dither.from(i), fields + i);
        }
        i += width;
    }
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512
QTK_REGION_END
#endif
