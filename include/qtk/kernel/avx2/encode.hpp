// SPDX-License-Identifier: Apache-2.0
//
// How do floats become fields eight at a time? The lanes of avx512/encode.hpp with AVX2: masks are
// vectors, tables of sixteen are two of eight, and the product of 64 bits is put together from
// three of 32.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/concepts.hpp>
#include <qtk/kernel/avx2/pack.hpp>
#include <qtk/kernel/code_rule.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86
QTK_AVX2_REGION
namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

[[nodiscard]] QTK_ALWAYS_INLINE __m256i load_bits(float const* p) noexcept {
    return _mm256_castps_si256(_mm256_loadu_ps(p));
}

/// Widens running extremes. Positive floats rise with their bits as signed integers, negative ones
/// fall with their bits as unsigned integers; magnitudes rise.
template <bool Signed>
QTK_ALWAYS_INLINE void widen(__m256i bits, __m256i& up, __m256i& down) noexcept {
    if constexpr (Signed) {
        up = _mm256_max_epi32(up, bits);
        down = _mm256_max_epu32(down, bits);
    } else {
        up = _mm256_max_epi32(up, _mm256_and_si256(bits, _mm256_set1_epi32(INT32_MAX)));
    }
}

/// The extremes of one tile, first the magnitude of the lowest; both are the largest magnitude if
/// not Signed.
template <bool Signed>
[[nodiscard]] QTK_ALWAYS_INLINE __m128i extremes_of(float const* x, std::size_t n) noexcept {
    __m256i up = _mm256_setzero_si256(), down = up, up_too = up, down_too = up;
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        widen<Signed>(load_bits(x + i), up, down);
        widen<Signed>(load_bits(x + i + 8), up_too, down_too);
    }
    for (; i < n; i += 8) {
        float some[8] = {};
        std::memcpy(some, x + i, (n - i < 8 ? n - i : 8) * sizeof(float));
        widen<Signed>(load_bits(some), up, down);
    }
    up = _mm256_max_epi32(up, up_too);
    if constexpr (Signed)
        // Magnitudes of the negative ones; lanes without any hold a positive number or zero.
        down = _mm256_max_epi32(
            _mm256_xor_si256(_mm256_max_epu32(down, down_too), _mm256_set1_epi32(INT32_MIN)),
            _mm256_setzero_si256());
    else
        down = up;
    // Both go through the same folds, as neighbours.
    __m256i const both =
        _mm256_max_epi32(_mm256_unpacklo_epi32(down, up), _mm256_unpackhi_epi32(down, up));
    __m128i four =
        _mm_max_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
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
    alignas(32) float inverse[encode_piece_tiles], rest[encode_piece_tiles];
};

/// Fills them for n tiles; false if one of the scales has to be divided by.
[[nodiscard]] inline bool invert_scales(tile_params const* p, std::size_t n,
                                        reciprocals& r) noexcept {
    __m256 const one = _mm256_set1_ps(1.0f);
    __m256i const mantissa = _mm256_set1_epi32(0x7fffff);
    for (std::size_t j = 0; j < n; j += 8) {
        tile_params some[8];
        tile_params const* from = p + j;
        if (n - j < 8) {
            std::memcpy(some, from, (n - j) * sizeof(tile_params));  // the others have scale 1
            from = some;
        }
        __m256 const low = _mm256_castsi256_ps(load_32(from));
        __m256 const high = _mm256_castsi256_ps(load_32(from + 4));
        __m256 const scale = _mm256_castpd_ps(_mm256_permute4x64_pd(
            _mm256_castps_pd(_mm256_shuffle_ps(low, high, 0b10'00'10'00)), 0b11'01'10'00));
        __m256i const bits = _mm256_castps_si256(scale);
        // divides_by_product, lane by lane; exponents are compared as signed, so that a negative
        // scale fails too.
        __m256i const exponent =
            _mm256_sub_epi32(_mm256_srai_epi32(bits, 23), _mm256_set1_epi32(127 - 60));
        __m256i const fails = _mm256_or_si256(
            _mm256_or_si256(_mm256_cmpgt_epi32(exponent, _mm256_set1_epi32(120)),
                            _mm256_srai_epi32(exponent, 31)),
            _mm256_cmpeq_epi32(_mm256_and_si256(bits, mantissa), mantissa));
        if (_mm256_movemask_epi8(fails) != 0) return false;
        __m256 const inverse = _mm256_div_ps(one, scale);
        _mm256_store_ps(r.inverse + j, inverse);
        _mm256_store_ps(r.rest + j,
                        _mm256_mul_ps(_mm256_fnmadd_ps(inverse, scale, one), inverse));
    }
    return true;
}

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
[[nodiscard]] QTK_ALWAYS_INLINE __m256i minifloat_lanes(code_rule const& rule, __m256 v,
                                                        __m256 sign_of, __m256 dither) noexcept {
    __m256i const smallest = _mm256_set1_epi32(rule.smallest);
    __m128i const shift = _mm_cvtsi32_si128(23 - rule.mantissa);
    __m256 const magnitude = _mm256_min_ps(magnitude_of(v), _mm256_set1_ps(rule.largest));
    __m256i const exponent = _mm256_max_epi32(
        _mm256_and_si256(_mm256_castps_si256(magnitude), _mm256_set1_epi32(0x7f800000)), smallest);
    __m256 const per_unit = _mm256_castsi256_ps(
        _mm256_sub_epi32(_mm256_set1_epi32((254 + rule.mantissa) << 23), exponent));
    __m256i const is_negative = _mm256_srai_epi32(_mm256_castps_si256(sign_of), 31);
    __m256 const toss = R == rounding::stochastic
                            ? mirrored(dither, _mm256_castsi256_ps(is_negative))
                            : dither;
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
        __m256i const next = _mm256_min_epi32(_mm256_add_epi32(rank, _mm256_set1_epi32(1)),
                                              _mm256_set1_epi32(15));
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
[[nodiscard]] QTK_ALWAYS_INLINE __m256i code_lanes(code_rule const& rule, tile_lanes const& t,
                                                   __m256 x, __m256 dither) noexcept {
    __m256 const v = ByProduct ? _mm256_fmadd_ps(x, t.inverse, _mm256_mul_ps(x, t.rest))
                               : _mm256_div_ps(x, t.scale);
    if constexpr (Kind == code_kind::integer) {
        if constexpr (ByProduct) return round_lanes<R>(v, dither);
        return round_lanes<R>(_mm256_min_ps(_mm256_max_ps(v, t.low), t.high), dither);
    } else if constexpr (Kind == code_kind::minifloat) {
        return minifloat_lanes<R>(rule, v, ByProduct ? x : v, dither);
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

/// 32 fields of 4 bits, packed.
[[nodiscard]] QTK_ALWAYS_INLINE __m128i nibbles_of(__m256i fields) noexcept {
    __m256i const pairs = _mm256_maddubs_epi16(fields, _mm256_set1_epi16(0x1001));
    return _mm_packus_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
}

/// The fields of 32 values. Shared: they belong to one tile, whose
/// lanes are t; else vector k belongs to tile k >> shift of those at p.
template <code_kind Kind, rounding R, bool ByProduct, bool Shared>
QTK_ALWAYS_INLINE void encode_block(code_rule const& rule, tile_lanes t, byte_lanes const& b,
                                    tile_params const* p, float const* inverse, float const* rest,
                                    int shift, float const* x, bool is_packed,
                                    dither_source dither, std::uint8_t* fields) noexcept {
    __m256i code[4];
    QTK_UNROLL
    for (std::size_t k = 0; k < 4; ++k) {
        __m256 const v = _mm256_loadu_ps(x + 8 * k);
        __m256 chance = _mm256_setzero_ps();
        if constexpr (R == rounding::stochastic) chance = dither_lanes(dither, 8 * k);
        if constexpr (Shared) {
            code[k] = code_lanes<Kind, R, ByProduct>(rule, t, v, chance);
        } else {
            std::size_t const j = k >> shift;
            t = lanes_of<ByProduct>(rule, p[j], inverse + j, rest + j);
            code[k] = code_lanes<Kind, R, ByProduct>(rule, t, v, chance);
            if constexpr (Kind == code_kind::integer)
                code[k] = _mm256_add_epi32(code[k], _mm256_set1_epi32(p[j].zero));
        }
    }
    __m256i const bytes = bytes_of(code[0], code[1], code[2], code[3], b);
    if (is_packed)
        store_16(fields, nibbles_of(bytes));
    else
        store_32(fields, bytes);
}

/// The fields of n values of one tile, or of tiles of 16 (shift 1).
template <code_kind Kind, rounding R, bool ByProduct, bool Shared>
QTK_ALWAYS_INLINE void encode_run(code_rule const& rule, tile_params const* p,
                                  float const* inverse, float const* rest, int shift,
                                  float const* x, std::size_t n, bool is_packed,
                                  dither_source dither, std::uint8_t* fields) noexcept {
    std::size_t const tiles = Shared ? 0 : std::size_t{4} >> shift;
    tile_lanes const t = lanes_of<ByProduct>(rule, *p, inverse, rest);
    byte_lanes const b = bytes_for(rule, Shared ? p->zero : 0);
    std::size_t i = 0;
    for (; i + 32 <= n; i += 32, p += tiles, inverse += tiles, rest += tiles) {
        _mm_prefetch(reinterpret_cast<char const*>(x + i + encode_ahead), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<char const*>(x + i + encode_ahead + 16), _MM_HINT_T0);
        encode_block<Kind, R, ByProduct, Shared>(rule, t, b, p, inverse, rest, shift, x + i,
                                                 is_packed, dither.from(i),
                                                 fields + (is_packed ? i / 2 : i));
    }
    if (i == n) return;
    float some[32] = {};
    std::uint8_t codes[32];
    std::memcpy(some, x + i, (n - i) * sizeof(float));
    tile_params const own[2] = {*p, !Shared && n - i > 16 ? p[1] : *p};
    encode_block<Kind, R, ByProduct, Shared>(rule, t, b, own, inverse, rest, shift, some,
                                             false, dither.from(i), codes);
    if (is_packed) {
        std::memset(codes + (n - i), 0, 32 - (n - i));
        store_16(codes, nibbles_of(load_32(codes)));
        std::memcpy(fields + i / 2, codes, (n - i + 1) / 2);
    } else {
        std::memcpy(fields + i, codes, n - i);
    }
}

/// encode_tiles for at most encode_block_values values; p is the tile of the first one.
template <code_kind Kind, rounding R, bool ByProduct>
void encode_piece(code_rule const& rule, tile_params const* p, reciprocals const& r,
                  float const* x, std::size_t n, std::size_t room, std::size_t tile,
                  bool is_packed, dither_source dither, std::uint8_t* fields) noexcept {
    float const *inverse = r.inverse, *rest = r.rest;
    if (room == tile && tile == 16)
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
}  // namespace qtk::avx2
QTK_REGION_END
#endif
