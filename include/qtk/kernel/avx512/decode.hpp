// SPDX-License-Identifier: Apache-2.0
//
// How do fields become floats sixteen at a time? Up to four bits by one table of level * scale a
// tile, integers of more bits by arithmetic, minifloats of more bits by moving exponent and
// mantissa to where a float has them. The same products as decode_span_scalar, hence the same bits.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/concepts.hpp>
#include <qtk/kernel/avx512/pack.hpp>
#include <qtk/kernel/level_rule.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86
QTK_AVX512_REGION
namespace qtk::avx512 {
inline namespace QTK_ABI_NS {

/// What the lanes of one tile have in common: the table of a codebook, or scale and zero.
struct level_lanes {
    __m512 table, scale, zero;
};

/// Infinity and NaN among sixteen minifloats are looked up.
[[nodiscard]] __attribute__((noinline, cold)) inline __m512 special_levels(level_rule const& rule,
                                                                           __m512i field) noexcept {
    alignas(64) std::int32_t at[16];
    alignas(64) float level[16];
    _mm512_store_si512(at, field);
    for (int k = 0; k < 16; ++k) level[k] = rule.level[static_cast<std::size_t>(at[k])];
    return _mm512_load_ps(level);
}

/// The levels of sixteen minifloats, exact.
[[nodiscard]] QTK_ALWAYS_INLINE __m512 minifloat_levels(level_rule const& rule,
                                                        level_numbers const& m,
                                                        __m512i field) noexcept {
    __m512i const magnitude = _mm512_and_si512(field, _mm512_set1_epi32(m.sign - 1));
    __m512i const normal =
        _mm512_add_epi32(_mm512_sll_epi32(magnitude, _mm_cvtsi32_si128(23 - m.mantissa)),
                         _mm512_set1_epi32(m.rebias));
    __mmask16 const is_small =
        _mm512_cmplt_epi32_mask(magnitude, _mm512_set1_epi32(1 << m.mantissa));
    __m512 const level = _mm512_mask_mul_ps(_mm512_castsi512_ps(normal), is_small,
                                            _mm512_cvtepi32_ps(magnitude), _mm512_set1_ps(m.unit));
    if (_mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(m.top)) != 0)
        return special_levels(rule, field);
    __m512i const sign = _mm512_sll_epi32(_mm512_and_si512(field, _mm512_set1_epi32(m.sign)),
                                          _mm_cvtsi32_si128(32 - m.bits));
    return _mm512_or_ps(level, _mm512_castsi512_ps(sign));
}

/// The values of sixteen fields in lanes of 32 bits. If not Clean, there are other bits above.
template <level_kind Kind, bool Clean>
[[nodiscard]] QTK_ALWAYS_INLINE __m512 value_lanes(level_rule const& rule, level_numbers const& m,
                                                   level_lanes const& t, __m512i field) noexcept {
    if constexpr (Kind == level_kind::table) {
        return _mm512_permutexvar_ps(field, t.table);  // looks at four bits, and repeats itself
    } else {
        if constexpr (!Clean) field = _mm512_and_si512(field, _mm512_set1_epi32((1 << m.bits) - 1));
        if constexpr (Kind == level_kind::integer)
            return _mm512_mul_ps(_mm512_sub_ps(_mm512_cvtepi32_ps(field), t.zero), t.scale);
        else
            return _mm512_mul_ps(minifloat_levels(rule, m, field), t.scale);
    }
}

/// Sixteen fields from their first byte on: one byte each, or packed.
template <bool Bytes>
[[nodiscard]] QTK_ALWAYS_INLINE __m512i field_lanes(__m128i window, __m512i place,
                                                    __m512i shift) noexcept {
    return Bytes ? _mm512_cvtepu8_epi32(window) : window_lanes(window, place, shift);
}

/// Eight packed fields of up to four bits from their first byte on, of which four are read, in half
/// a register: one load repeats them in every lane, and the two halves of the table serve as one.
QTK_ALWAYS_INLINE void look_up_8(std::uint8_t const* at, __m256i shift, __m256 low, __m256 high,
                                 float* to) noexcept {
    std::int32_t fields;
    std::memcpy(&fields, at, sizeof fields);
    __m256i const index = _mm256_srlv_epi32(_mm256_set1_epi32(fields), shift);
    _mm256_storeu_ps(to, _mm256_permutex2var_ps(low, index, high));
}

/// Packed fields of tiles whose width is a multiple of 32, each by its own table. Apart from the
/// loop that takes every width: what that one keeps in registers costs this one a third of its rate.
QTK_ALWAYS_INLINE void look_up(level_rule const& rule, std::size_t bits, tile_params const* p,
                               std::uint8_t const* at, std::size_t tiles, std::size_t width,
                               float* to) noexcept {
    __m512 const levels = _mm512_loadu_ps(rule.table.data());
    __m256i const shift = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                             _mm256_set1_epi32(static_cast<int>(bits)));
    auto const has_zero = static_cast<__mmask16>(rule.has_zero ? 0xffff : 0);
    for (; tiles != 0; --tiles, ++p) {
        __m512 const zero = _mm512_cvtepi32_ps(_mm512_maskz_set1_epi32(has_zero, p->zero));
        __m512 const table = _mm512_mul_ps(_mm512_sub_ps(levels, zero), _mm512_set1_ps(p->scale));
        __m256 const low = _mm512_castps512_ps256(table), high = _mm512_extractf32x8_ps(table, 1);
        for (float const* const last = to + width; to != last; to += 32, at += 4 * bits) QTK_UNROLL
        for (std::size_t k = 0; k < 4; ++k) look_up_8(at + k * bits, shift, low, high, to + 8 * k);
    }
}
/// The same out of line; the usual number of bits is a constant.
__attribute__((noinline)) inline void look_up_tiles(level_rule const& rule, tile_params const* p,
                                                    std::uint8_t const* at, std::size_t tiles,
                                                    std::size_t width, float* to) noexcept {
    if (rule.numbers.bits == 4) return look_up(rule, 4, p, at, tiles, width, to);
    look_up(rule, static_cast<std::size_t>(rule.numbers.bits), p, at, tiles, width, to);
}

template <level_kind Kind, bool Bytes>
void decode_tiles(level_rule const& rule, tile_params const* p, std::uint8_t const* from,
                  std::uint8_t const* end, std::size_t n, std::size_t left, std::size_t tile,
                  float* out) noexcept {
    level_numbers const m = rule.numbers;
    auto const bits = static_cast<std::size_t>(m.bits);
    std::size_t const step = Bytes ? 16 : 2 * bits;
    bit_window const& w = window_of(m.bits);
    __m512i const place = _mm512_load_si512(w.place.data());
    __m512i const shift = _mm512_load_si512(w.shift.data());
    __m512 const table = _mm512_loadu_ps(rule.table.data());
    std::size_t i = 0, sure = 0, j = left / tile, room = (j + 1) * tile - left;
    if constexpr (Kind == level_kind::table && !Bytes) {
        // The last look-up may read three bytes more than it needs.
        bool const is_roomy = end - from >= static_cast<std::ptrdiff_t>((n + 7) / 8 * bits + 3);
        sure = is_roomy ? n : n < 32 ? 0 : n - 32;
        if (room == tile && tile % 32 == 0 && tile <= sure) {
            std::size_t const tiles = sure / tile;
            look_up_tiles(rule, p + j, from, tiles, tile, out);
            i = tiles * tile;
            j += tiles;
        }
    }
    for (; i < n; ++j, room = tile) {
        std::size_t const width = n - i < room ? n - i : room;
        float* const to = out + i;
        std::uint8_t const* at = from + (Bytes ? i : i / 8 * bits);
        level_lanes t{table, _mm512_set1_ps(p[j].scale),
                      _mm512_set1_ps(static_cast<float>(rule.has_zero ? p[j].zero : 0))};
        std::size_t k = 0;
        if constexpr (Kind == level_kind::table)
            t.table = _mm512_mul_ps(_mm512_sub_ps(table, t.zero), t.scale);
        if constexpr (Kind == level_kind::table && !Bytes)
            if (i < sure) {
                k = (width < sure - i ? width : sure - i) / 32 * 32;
                look_up_tiles(rule, p + j, at, 1, k, to);
                at += k / 8 * bits;
            }
        for (; k + 32 <= width && end - at >= 32; k += 32, at += 2 * step) {
            __m512i const a = field_lanes<Bytes>(load_16(at), place, shift);
            __m512i const b = field_lanes<Bytes>(load_16(at + step), place, shift);
            _mm512_storeu_ps(to + k, value_lanes<Kind, Bytes>(rule, m, t, a));
            _mm512_storeu_ps(to + k + 16, value_lanes<Kind, Bytes>(rule, m, t, b));
        }
        for (; k < width; k += 16, at += step) {
            std::size_t const count = width - k < 16 ? width - k : 16;
            auto const bytes = static_cast<std::size_t>(end - at);
            auto const present = static_cast<__mmask16>(bytes < 16 ? (1u << bytes) - 1u : 0xffffu);
            __m512i const field =
                field_lanes<Bytes>(_mm_maskz_loadu_epi8(present, at), place, shift);
            _mm512_mask_storeu_ps(to + k, static_cast<__mmask16>((1u << count) - 1u),
                                  value_lanes<Kind, Bytes>(rule, m, t, field));
        }
        i += width;
    }
}

/// The values of n fields of one row, of which the first has the column `left` and starts at
/// `from`: one byte each if `is_bytes`, else packed, where tiles start on whole bytes. p are the
/// row's tiles. Reads before `end` alone.
inline void decode_tiles(level_rule const& rule, bool is_bytes, tile_params const* p,
                         std::uint8_t const* from, std::uint8_t const* end, std::size_t n,
                         std::size_t left, std::size_t tile, float* out) noexcept {
    using enum level_kind;
    switch (rule.kind) {
        case table:
            return is_bytes ? decode_tiles<table, true>(rule, p, from, end, n, left, tile, out)
                            : decode_tiles<table, false>(rule, p, from, end, n, left, tile, out);
        case integer:
            return is_bytes ? decode_tiles<integer, true>(rule, p, from, end, n, left, tile, out)
                            : decode_tiles<integer, false>(rule, p, from, end, n, left, tile, out);
        case minifloat:
            return is_bytes
                       ? decode_tiles<minifloat, true>(rule, p, from, end, n, left, tile, out)
                       : decode_tiles<minifloat, false>(rule, p, from, end, n, left, tile, out);
    }
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512
QTK_REGION_END
#endif
