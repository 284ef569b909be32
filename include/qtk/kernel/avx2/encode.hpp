// SPDX-License-Identifier: Apache-2.0
//
// How do floats become fields eight at a time? As avx512/encode.hpp with AVX2, 32 values a step.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/concepts.hpp>
#include <qtk/kernel/avx2/code_lanes.hpp>
#include <qtk/kernel/avx2/pack.hpp>
#include <qtk/kernel/code_rule.hpp>
#include <qtk/kernel/cpu.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86
QTK_AVX2_REGION
namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

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
        __m256i const fails =
            _mm256_or_si256(_mm256_or_si256(_mm256_cmpgt_epi32(exponent, _mm256_set1_epi32(120)),
                                            _mm256_srai_epi32(exponent, 31)),
                            _mm256_cmpeq_epi32(_mm256_and_si256(bits, mantissa), mantissa));
        if (_mm256_movemask_epi8(fails) != 0) return false;
        __m256 const inverse = _mm256_div_ps(one, scale);
        _mm256_store_ps(r.inverse + j, inverse);
        _mm256_store_ps(r.rest + j, _mm256_mul_ps(_mm256_fnmadd_ps(inverse, scale, one), inverse));
    }
    return true;
}

/// 32 fields of 4 bits, packed.
[[nodiscard]] QTK_ALWAYS_INLINE __m128i nibbles_of(__m256i fields) noexcept {
    __m256i const pairs = _mm256_maddubs_epi16(fields, _mm256_set1_epi16(0x1001));
    return _mm_packus_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
}

/// The fields of 32 values. Shared: they belong to one tile, whose
/// lanes are t; else vector k belongs to tile k >> shift of those at p.
template <code_kind Kind, rounding R, bool ByProduct, bool Shared>
QTK_ALWAYS_INLINE void encode_block(code_rule const& rule, minifloat_rule const& m, tile_lanes t,
                                    byte_lanes const& b, tile_params const* p, float const* inverse,
                                    float const* rest, int shift, float const* x, bool is_packed,
                                    dither_source dither, std::uint8_t* fields) noexcept {
    __m256i code[4];
    QTK_UNROLL
    for (std::size_t k = 0; k < 4; ++k) {
        __m256 const v = _mm256_loadu_ps(x + 8 * k);
        __m256 chance = _mm256_setzero_ps();
        if constexpr (R == rounding::stochastic) chance = dither_lanes(dither, 8 * k);
        if constexpr (Shared) {
            code[k] = code_lanes<Kind, R, ByProduct>(rule, m, t, v, chance);
        } else {
            std::size_t const j = k >> shift;
            t = lanes_of<ByProduct>(rule, p[j], inverse + j, rest + j);
            code[k] = code_lanes<Kind, R, ByProduct>(rule, m, t, v, chance);
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
void encode_run(code_rule const& rule, tile_params const* p, float const* inverse,
                float const* rest, int shift, float const* x, std::size_t n, bool is_packed,
                bool asks_ahead, dither_source dither, std::uint8_t* fields) noexcept {
    std::size_t const tiles = Shared ? 0 : std::size_t{4} >> shift;
    minifloat_rule const m = rule.minifloat;
    tile_lanes const t = lanes_of<ByProduct>(rule, *p, inverse, rest);
    byte_lanes const b = bytes_for(rule, Shared ? p->zero : 0);
    std::size_t i = 0;
    for (; i + 32 <= n; i += 32, p += tiles, inverse += tiles, rest += tiles) {
        if (asks_ahead) {
            _mm_prefetch(reinterpret_cast<char const*>(x + i + encode_ahead), _MM_HINT_T0);
            _mm_prefetch(reinterpret_cast<char const*>(x + i + encode_ahead + 16), _MM_HINT_T0);
        }
        encode_block<Kind, R, ByProduct, Shared>(rule, m, t, b, p, inverse, rest, shift, x + i,
                                                 is_packed, dither.from(i),
                                                 fields + (is_packed ? i / 2 : i));
    }
    if (i == n) return;
    float some[32] = {};
    std::uint8_t codes[32];
    std::memcpy(some, x + i, (n - i) * sizeof(float));
    tile_params const own[2] = {*p, !Shared && n - i > 16 ? p[1] : *p};
    encode_block<Kind, R, ByProduct, Shared>(rule, m, t, b, own, inverse, rest, shift, some, false,
                                             dither.from(i), codes);
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
void encode_piece(code_rule const& rule, tile_params const* p, reciprocals const& r, float const* x,
                  std::size_t n, std::size_t room, std::size_t tile, bool is_packed,
                  dither_source dither, std::uint8_t* fields) noexcept {
    bool const asks_ahead = !cpu().streams_by_itself;
    float const *inverse = r.inverse, *rest = r.rest;
    if (room == tile && tile == 16)
        return encode_run<Kind, R, ByProduct, false>(rule, p, inverse, rest, 1, x, n, is_packed,
                                                     asks_ahead, dither, fields);
    for (std::size_t i = 0; i < n; ++p, room = tile) {
        std::size_t const width = n - i < room ? n - i : room;
        encode_run<Kind, R, ByProduct, true>(rule, p, inverse, rest, 2, x + i, width, is_packed,
                                             asks_ahead, dither.from(i),
                                             fields + (is_packed ? i / 2 : i));
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
                encode_piece<Kind, R, true>(rule, p + j, r, x + i, count, room, tile, is_packed,
                                            dither.from(i), fields + (is_packed ? i / 2 : i));
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
