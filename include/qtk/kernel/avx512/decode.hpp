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

template <level_kind Kind, bool Bytes>
void decode_tiles(level_rule const& rule, tile_params const* p, std::uint8_t const* from,
                  std::uint8_t const* end, std::size_t n, std::size_t left, std::size_t tile,
                  float* out) noexcept {
    level_numbers const m = rule.numbers;
    std::size_t const step = Bytes ? 16 : 2 * static_cast<std::size_t>(m.bits);
    bit_window const& w = window_of(m.bits);
    __m512i const place = _mm512_load_si512(w.place.data());
    __m512i const shift = _mm512_load_si512(w.shift.data());
    __m512 const table = _mm512_loadu_ps(rule.table.data());
    std::size_t j = left / tile, room = (j + 1) * tile - left;
    for (std::size_t i = 0; i < n; ++j, room = tile) {
        std::size_t const width = n - i < room ? n - i : room;
        float* const to = out + i;
        std::uint8_t const* at = from + (Bytes ? i : i / 8 * static_cast<std::size_t>(m.bits));
        level_lanes t{table, _mm512_set1_ps(p[j].scale),
                      _mm512_set1_ps(static_cast<float>(rule.has_zero ? p[j].zero : 0))};
        if constexpr (Kind == level_kind::table)
            t.table = _mm512_mul_ps(_mm512_sub_ps(table, t.zero), t.scale);
        std::size_t k = 0;
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
