// SPDX-License-Identifier: Apache-2.0
//
// How do floats become fields sixteen at a time? Reciprocals of all scales of a block first, then 64
// values a step, whole tiles or tiles of 16 and 32 side by side. Plain AVX-512, no VBMI.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/concepts.hpp>
#include <qtk/kernel/avx512/code_lanes.hpp>
#include <qtk/kernel/code_rule.hpp>
#include <qtk/kernel/cpu.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86
QTK_AVX512_REGION
namespace qtk::avx512 {
inline namespace QTK_ABI_NS {

/// The reciprocals of the scales of a piece of a row, in two parts (see code_rule.hpp).
struct reciprocals {
    alignas(64) float inverse[encode_piece_tiles], rest[encode_piece_tiles];
};

/// Fills them for n tiles; false if one of the scales has to be divided by.
[[nodiscard]] inline bool invert_scales(tile_params const* p, std::size_t n,
                                        reciprocals& r) noexcept {
    __m512 const one = _mm512_set1_ps(1.0f);
    __m512i const evens =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
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
        _mm512_store_ps(r.rest + j, _mm512_mul_ps(_mm512_fnmadd_ps(inverse, scale, one), inverse));
    }
    return true;
}

/// The fields of the first `count` of 64 values; all of them if Whole. Shared: they belong to one tile, whose
/// lanes are t; else vector k belongs to tile k >> shift of those at p.
template <code_kind Kind, rounding R, bool ByProduct, bool Shared, bool Whole>
QTK_ALWAYS_INLINE void encode_block(code_rule const& rule, minifloat_rule const& m, tile_lanes t,
                                    byte_lanes const& b, tile_params const* p, float const* inverse,
                                    float const* rest, int shift, float const* x, std::size_t count,
                                    bool is_packed, dither_source dither,
                                    std::uint8_t* fields) noexcept {
    __mmask64 const wanted = Whole ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
    __m512i code[4];
    QTK_UNROLL
    for (std::size_t k = 0; k < 4; ++k) {
        __m512 const v =
            Whole ? _mm512_loadu_ps(x + 16 * k)
                  : _mm512_maskz_loadu_ps(static_cast<__mmask16>(wanted >> (16 * k)), x + 16 * k);
        __m512 chance = _mm512_setzero_ps();
        if constexpr (R == rounding::stochastic) chance = dither_lanes(dither, 16 * k);
        if constexpr (Shared) {
            code[k] = code_lanes<Kind, R, ByProduct>(rule, m, t, v, chance);
        } else {
            std::size_t const j = Whole || 16 * k < count ? k >> shift : 0;
            t = lanes_of<ByProduct>(rule, p[j], inverse + j, rest + j);
            code[k] = code_lanes<Kind, R, ByProduct>(rule, m, t, v, chance);
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
void encode_run(code_rule const& rule, tile_params const* p, float const* inverse,
                float const* rest, int shift, float const* x, std::size_t n, bool is_packed,
                bool asks_ahead, dither_source dither, std::uint8_t* fields) noexcept {
    std::size_t const tiles = Shared ? 0 : std::size_t{4} >> shift;
    minifloat_rule const m = rule.minifloat;
    tile_lanes const t = lanes_of<ByProduct>(rule, *p, inverse, rest);
    byte_lanes const b = bytes_for(rule, Shared ? p->zero : 0);
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64, p += tiles, inverse += tiles, rest += tiles) {
        if (asks_ahead) QTK_UNROLL
        for (std::size_t k = 0; k < 64; k += 16)
            _mm_prefetch(reinterpret_cast<char const*>(x + i + encode_ahead + k), _MM_HINT_T0);
        encode_block<Kind, R, ByProduct, Shared, true>(rule, m, t, b, p, inverse, rest, shift,
                                                       x + i, 64, is_packed, dither.from(i),
                                                       fields + (is_packed ? i / 2 : i));
    }
    if (i < n)
        encode_block<Kind, R, ByProduct, Shared, false>(rule, m, t, b, p, inverse, rest, shift,
                                                        x + i, n - i, is_packed, dither.from(i),
                                                        fields + (is_packed ? i / 2 : i));
}

/// encode_tiles for at most encode_block_values values; p is the tile of the first one.
template <code_kind Kind, rounding R, bool ByProduct>
void encode_piece(code_rule const& rule, tile_params const* p, reciprocals const& r, float const* x,
                  std::size_t n, std::size_t room, std::size_t tile, bool is_packed,
                  dither_source dither, std::uint8_t* fields) noexcept {
    bool const asks_ahead = !cpu().streams_by_itself;
    float const *inverse = r.inverse, *rest = r.rest;
    if (room == tile && tile == 16)
        return encode_run<Kind, R, ByProduct, false>(rule, p, inverse, rest, 0, x, n, is_packed,
                                                     asks_ahead, dither, fields);
    if (room == tile && tile == 32)
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
}  // namespace qtk::avx512
QTK_REGION_END
#endif
