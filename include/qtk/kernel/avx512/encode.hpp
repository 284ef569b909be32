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

/// Widens running extremes. Positive floats rise with their bits as signed integers, negative ones
/// fall with their bits as unsigned integers; magnitudes rise.
template <bool Signed>
QTK_ALWAYS_INLINE void widen(__m512i bits, __m512i& up, __m512i& down) noexcept {
    if constexpr (Signed) {
        up = _mm512_max_epi32(up, bits);
        down = _mm512_max_epu32(down, bits);
    } else {
        up = _mm512_max_epi32(up, _mm512_and_si512(bits, _mm512_set1_epi32(INT32_MAX)));
    }
}

/// The extremes of one tile, first the magnitude of the lowest; both are the largest magnitude if
/// not Signed.
template <bool Signed>
[[nodiscard]] QTK_ALWAYS_INLINE __m128i extremes_of(float const* x, std::size_t n) noexcept {
    __m512i up = _mm512_setzero_si512(), down = up, up_too = up, down_too = up;
    std::size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        widen<Signed>(_mm512_loadu_si512(x + i), up, down);
        widen<Signed>(_mm512_loadu_si512(x + i + 16), up_too, down_too);
    }
    for (; i < n; i += 16) {
        auto const mask =
            n - i >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << (n - i)) - 1u);
        widen<Signed>(_mm512_maskz_loadu_epi32(mask, x + i), up, down);
    }
    up = _mm512_max_epi32(up, up_too);
    if constexpr (Signed)
        // Magnitudes of the negative ones; lanes without any hold a positive number or zero.
        down = _mm512_max_epi32(
            _mm512_xor_si512(_mm512_max_epu32(down, down_too), _mm512_set1_epi32(INT32_MIN)),
            _mm512_setzero_si512());
    else
        down = up;
    // Both go through the same folds, as neighbours.
    __m512i const both =
        _mm512_max_epi32(_mm512_unpacklo_epi32(down, up), _mm512_unpackhi_epi32(down, up));
    __m256i const eight =
        _mm256_max_epi32(_mm512_castsi512_si256(both), _mm512_extracti64x4_epi64(both, 1));
    __m128i four =
        _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    return _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
}

template <bool Signed>
[[nodiscard]] QTK_ALWAYS_INLINE bool measure_all(float const* x, std::size_t n, std::size_t tile,
                                                 extremes* out) noexcept {
    __m128i largest = _mm_setzero_si128();
    for (std::size_t left = 0; left < n; left += tile, ++out) {
        __m128i const ends = extremes_of<Signed>(x + left, n - left < tile ? n - left : tile);
        largest = _mm_max_epi32(largest, ends);
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out),
                         _mm_xor_si128(ends, _mm_setr_epi32(INT32_MIN, 0, 0, 0)));
    }
    __m128i const is_bad = _mm_cmpgt_epi32(largest, _mm_set1_epi32(0x7f7fffff));
    return _mm_movemask_epi8(is_bad) == 0;
}

/// The extremes of the tiles of n values, widened to hold zero; if not is_signed, plus and minus
/// the largest magnitude. False if a value is NaN or infinite: bits are compared, and theirs are
/// larger than any number's.
[[nodiscard]] inline bool measure_tiles(float const* x, std::size_t n, std::size_t tile,
                                        bool is_signed, extremes* out) noexcept {
    return is_signed ? measure_all<true>(x, n, tile, out) : measure_all<false>(x, n, tile, out);
}

/// The reciprocals of the scales of a piece of a row, in two parts (see code_rule.hpp).
struct reciprocals {
    alignas(64) float inverse[encode_piece_tiles], rest[encode_piece_tiles];
};

/// Fills them for n tiles; false if one of the scales has to be divided by.
[[nodiscard]] inline bool invert_scales(tile_params const* p, std::size_t n,
                                        reciprocals& r) noexcept {
    __m512 const one = _mm512_set1_ps(1.0f);
    __m512i const evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28,
                                            30);
    __m512i const mantissa = _mm512_set1_epi32(0x7fffff);
    for (std::size_t j = 0; j < n; j += 16) {
        auto const wanted = static_cast<__mmask16>(n - j >= 16 ? 0xffffu : (1u << (n - j)) - 1u);
        __m512i const low = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(wanted & 0xffu), p + j);
        __m512i const high =
            _mm512_maskz_loadu_epi64(static_cast<__mmask8>(wanted >> 8), p + j + 8);
        __m512 const scale = _mm512_mask_blend_ps(
            wanted, one, _mm512_castsi512_ps(_mm512_permutex2var_epi32(low, evens, high)));
        __m512i const bits = _mm512_castps_si512(scale);
        // divides_by_product, lane by lane.
        __m512i const exponent =
            _mm512_sub_epi32(_mm512_srli_epi32(bits, 23), _mm512_set1_epi32(127 - 60));
        unsigned const by_product =
            _mm512_cmple_epu32_mask(exponent, _mm512_set1_epi32(120)) &
            _mm512_cmpneq_epi32_mask(_mm512_and_si512(bits, mantissa), mantissa);
        if (by_product != 0xffffu) return false;
        __m512 const inverse = _mm512_div_ps(one, scale);
        _mm512_store_ps(r.inverse + j, inverse);
        _mm512_store_ps(r.rest + j,
                        _mm512_mul_ps(_mm512_fnmadd_ps(inverse, scale, one), inverse));
    }
    return true;
}

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
                                                 byte_lanes const& t) noexcept {
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

/// The fields of the first `count` of 64 values; all of them if Whole. Shared: they belong to one tile, whose
/// lanes are t; else vector k belongs to tile k >> shift of those at p.
template <code_kind Kind, rounding R, bool ByProduct, bool Shared, bool Whole>
QTK_ALWAYS_INLINE void encode_block(code_rule const& rule, tile_lanes t, byte_lanes const& b,
                                    tile_params const* p, float const* inverse, float const* rest,
                                    int shift, float const* x, std::size_t count, bool is_packed,
                                    dither_source dither, std::uint8_t* fields) noexcept {
    __mmask64 const wanted = Whole ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
    __m512i code[4];
    QTK_UNROLL
    for (std::size_t k = 0; k < 4; ++k) {
        __m512 const v = Whole ? _mm512_loadu_ps(x + 16 * k)
                               : _mm512_maskz_loadu_ps(
                                     static_cast<__mmask16>(wanted >> (16 * k)), x + 16 * k);
        __m512 chance = _mm512_setzero_ps();
        if constexpr (R == rounding::stochastic) chance = dither_lanes(dither, 16 * k);
        if constexpr (Shared) {
            code[k] = code_lanes<Kind, R, ByProduct>(rule, t, v, chance);
        } else {
            std::size_t const j = Whole || 16 * k < count ? k >> shift : 0;
            t = lanes_of<ByProduct>(rule, p[j], inverse + j, rest + j);
            code[k] = code_lanes<Kind, R, ByProduct>(rule, t, v, chance);
            if constexpr (Kind == code_kind::integer)
                code[k] = _mm512_add_epi32(code[k], _mm512_set1_epi32(p[j].zero));
        }
    }
    __m512i bytes = bytes_of(code[0], code[1], code[2], code[3], b);
    if constexpr (!Whole) bytes = _mm512_maskz_mov_epi8(wanted, bytes);
    if (is_packed) {
        __m256i const pairs =
            _mm512_cvtepi16_epi8(_mm512_maddubs_epi16(bytes, _mm512_set1_epi16(0x1001)));
        if constexpr (Whole)
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(fields), pairs);
        else
            _mm256_mask_storeu_epi8(
                fields, static_cast<__mmask32>((std::uint64_t{1} << ((count + 1) / 2)) - 1), pairs);
    } else if constexpr (Whole) {
        _mm512_storeu_si512(fields, bytes);
    } else {
        _mm512_mask_storeu_epi8(fields, wanted, bytes);
    }
}

/// The fields of n values of one tile, or of tiles of 16 or 32 (shift 0 or 1).
template <code_kind Kind, rounding R, bool ByProduct, bool Shared>
QTK_ALWAYS_INLINE void encode_run(code_rule const& rule, tile_params const* p,
                                  float const* inverse, float const* rest, int shift,
                                  float const* x, std::size_t n, bool is_packed,
                                  dither_source dither, std::uint8_t* fields) noexcept {
    std::size_t const tiles = Shared ? 0 : std::size_t{4} >> shift;
    tile_lanes const t = lanes_of<ByProduct>(rule, *p, inverse, rest);
    byte_lanes const b = bytes_for(rule, Shared ? p->zero : 0);
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64, p += tiles, inverse += tiles, rest += tiles) {
        QTK_UNROLL
        for (std::size_t k = 0; k < 64; k += 16)
            _mm_prefetch(reinterpret_cast<char const*>(x + i + encode_ahead + k), _MM_HINT_T0);
        encode_block<Kind, R, ByProduct, Shared, true>(rule, t, b, p, inverse, rest, shift, x + i,
                                                       64, is_packed, dither.from(i),
                                                       fields + (is_packed ? i / 2 : i));
    }
    if (i < n)
        encode_block<Kind, R, ByProduct, Shared, false>(rule, t, b, p, inverse, rest, shift, x + i,
                                                        n - i, is_packed, dither.from(i),
                                                        fields + (is_packed ? i / 2 : i));
}

/// encode_tiles for at most encode_block_values values; p is the tile of the first one.
template <code_kind Kind, rounding R, bool ByProduct>
void encode_piece(code_rule const& rule, tile_params const* p, reciprocals const& r,
                  float const* x, std::size_t n, std::size_t room, std::size_t tile,
                  bool is_packed, dither_source dither, std::uint8_t* fields) noexcept {
    float const *inverse = r.inverse, *rest = r.rest;
    if (room == tile && tile == 16)
        return encode_run<Kind, R, ByProduct, false>(rule, p, inverse, rest, 0, x, n, is_packed,
                                                     dither, fields);
    if (room == tile && tile == 32)
        return encode_run<Kind, R, ByProduct, false>(rule, p, inverse, rest, 1, x, n, is_packed,
                                                     dither, fields);
    for (std::size_t i = 0; i < n; ++p, room = tile) {
        std::size_t const width = n - i < room ? n - i : room;
        encode_run<Kind, R, ByProduct, true>(rule, p, inverse, rest, 2, x + i, width, is_packed,
                                             dither.from(i), fields + (is_packed ? i / 2 : i));
        if constexpr (ByProduct) ++inverse, ++rest;
        i += width;
    }
}

/// The fields of n values of one row, of which the first has the column `left`; p are the row's
/// tiles. `is_bounded`: no |x| is above 2^20 scales of its tile. `is_packed`: fields of 4 bits are
/// stored as pairs; tiles and `left` are even then.
template <code_kind Kind, rounding R>
void encode_tiles(code_rule const& rule, tile_params const* p, float const* x, std::size_t n,
                  std::size_t left, std::size_t tile, bool is_bounded, bool is_packed,
                  dither_source dither, std::uint8_t* fields) noexcept {
    reciprocals r;
    for (std::size_t i = 0; i < n; i += encode_block_values) {
        std::size_t const count = n - i < encode_block_values ? n - i : encode_block_values;
        std::size_t const j = (left + i) / tile, room = (j + 1) * tile - (left + i);
        std::size_t const tiles = (left + i + count - 1) / tile - j + 1;
        if constexpr ((Kind == code_kind::integer || Kind == code_kind::minifloat) &&
                      R != rounding::stochastic)
            if (is_bounded && tiles <= encode_piece_tiles && invert_scales(p + j, tiles, r)) {
                encode_piece<Kind, R, true>(rule, p + j, r, x + i, count, room, tile,
                                            is_packed, dither.from(i),
                                            fields + (is_packed ? i / 2 : i));
                continue;
            }
        encode_piece<Kind, R, false>(rule, p + j, r, x + i, count, room, tile, is_packed,
                                     dither.from(i), fields + (is_packed ? i / 2 : i));
    }
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512
QTK_REGION_END
#endif
