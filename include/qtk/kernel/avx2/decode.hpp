// SPDX-License-Identifier: Apache-2.0
//
// How do fields become floats eight at a time? The lanes of avx512/decode.hpp with AVX2: a table of
// sixteen is two of eight.
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/core/concepts.hpp>
#include <qtk/kernel/avx2/pack.hpp>
#include <qtk/kernel/level_rule.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86
QTK_AVX2_REGION
namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

/// What the lanes of one tile have in common: the table of a codebook, or scale and zero.
struct level_lanes {
    __m256 low_table, high_table, scale, zero;
};

/// Infinity and NaN among eight minifloats are looked up.
[[nodiscard]] __attribute__((noinline, cold)) inline __m256 special_levels(level_rule const& rule,
                                                                           __m256i field) noexcept {
    alignas(32) std::int32_t at[8];
    alignas(32) float level[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(at), field);
    for (int k = 0; k < 8; ++k) level[k] = rule.level[static_cast<std::size_t>(at[k])];
    return _mm256_load_ps(level);
}

/// The levels of eight minifloats, exact.
[[nodiscard]] QTK_ALWAYS_INLINE __m256 minifloat_levels(level_rule const& rule,
                                                        level_numbers const& m,
                                                        __m256i field) noexcept {
    __m256i const magnitude = _mm256_and_si256(field, _mm256_set1_epi32(m.sign - 1));
    __m256i const normal =
        _mm256_add_epi32(_mm256_sll_epi32(magnitude, _mm_cvtsi32_si128(23 - m.mantissa)),
                         _mm256_set1_epi32(m.rebias));
    __m256i const is_normal =
        _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32((1 << m.mantissa) - 1));
    __m256 const small = _mm256_mul_ps(_mm256_cvtepi32_ps(magnitude), _mm256_set1_ps(m.unit));
    __m256 const level =
        _mm256_blendv_ps(small, _mm256_castsi256_ps(normal), _mm256_castsi256_ps(is_normal));
    if (_mm256_movemask_epi8(_mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(m.top))) != 0)
        return special_levels(rule, field);
    __m256i const sign = _mm256_sll_epi32(_mm256_and_si256(field, _mm256_set1_epi32(m.sign)),
                                          _mm_cvtsi32_si128(32 - m.bits));
    return _mm256_or_ps(level, _mm256_castsi256_ps(sign));
}

/// The values of eight fields in lanes of 32 bits. If not Clean, there are other bits above.
template <level_kind Kind, bool Clean>
[[nodiscard]] QTK_ALWAYS_INLINE __m256 value_lanes(level_rule const& rule, level_numbers const& m,
                                                   level_lanes const& t, __m256i field) noexcept {
    if constexpr (Kind == level_kind::table) {
        // Each half looks at three bits; the fourth chooses.
        __m256 const low = _mm256_permutevar8x32_ps(t.low_table, field);
        __m256 const high = _mm256_permutevar8x32_ps(t.high_table, field);
        return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(field, 28)));
    } else {
        if constexpr (!Clean) field = _mm256_and_si256(field, _mm256_set1_epi32((1 << m.bits) - 1));
        if constexpr (Kind == level_kind::integer)
            return _mm256_mul_ps(_mm256_sub_ps(_mm256_cvtepi32_ps(field), t.zero), t.scale);
        else
            return _mm256_mul_ps(minifloat_levels(rule, m, field), t.scale);
    }
}

/// How sixteen fields lie in their 16 bytes.
struct window_tables {
    __m256i place[2], shift[2];
};

/// Sixteen values from the first byte of their fields on: one byte each, or packed.
template <level_kind Kind, bool Bytes>
QTK_ALWAYS_INLINE void decode_16(level_rule const& rule, level_numbers const& m,
                                 level_lanes const& t, window_tables const& w, __m128i window,
                                 float* out) noexcept {
    __m256i const a =
        Bytes ? _mm256_cvtepu8_epi32(window) : window_lanes(window, w.place[0], w.shift[0]);
    __m256i const b = Bytes ? _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(window, window))
                            : window_lanes(window, w.place[1], w.shift[1]);
    _mm256_storeu_ps(out, value_lanes<Kind, Bytes>(rule, m, t, a));
    _mm256_storeu_ps(out + 8, value_lanes<Kind, Bytes>(rule, m, t, b));
}

template <level_kind Kind, bool Bytes>
void decode_tiles(level_rule const& rule, tile_params const* p, std::uint8_t const* from,
                  std::uint8_t const* end, std::size_t n, std::size_t left, std::size_t tile,
                  float* out) noexcept {
    level_numbers const m = rule.numbers;
    std::size_t const step = Bytes ? 16 : 2 * static_cast<std::size_t>(m.bits);
    bit_window const& window = window_of(m.bits);
    window_tables const w{{load_32(window.place.data()), load_32(window.place.data() + 32)},
                          {load_32(window.shift.data()), load_32(window.shift.data() + 16)}};
    __m256 const low = _mm256_loadu_ps(rule.table.data());
    __m256 const high = _mm256_loadu_ps(rule.table.data() + 8);
    std::size_t j = left / tile, room = (j + 1) * tile - left;
    for (std::size_t i = 0; i < n; ++j, room = tile) {
        std::size_t const width = n - i < room ? n - i : room;
        float* const to = out + i;
        std::uint8_t const* at = from + (Bytes ? i : i / 8 * static_cast<std::size_t>(m.bits));
        level_lanes t{low, high, _mm256_set1_ps(p[j].scale),
                      _mm256_set1_ps(static_cast<float>(rule.has_zero ? p[j].zero : 0))};
        if constexpr (Kind == level_kind::table) {
            t.low_table = _mm256_mul_ps(_mm256_sub_ps(low, t.zero), t.scale);
            t.high_table = _mm256_mul_ps(_mm256_sub_ps(high, t.zero), t.scale);
        }
        std::size_t k = 0;
        for (; k + 16 <= width && end - at >= 16; k += 16, at += step)
            decode_16<Kind, Bytes>(rule, m, t, w, load_16(at), to + k);
        for (; k < width; k += 16, at += step) {
            std::uint8_t some[16] = {};
            float values[16];
            std::size_t const count = width - k < 16 ? width - k : 16;
            auto const bytes = static_cast<std::size_t>(end - at);
            std::memcpy(some, at, bytes < 16 ? bytes : 16);
            decode_16<Kind, Bytes>(rule, m, t, w, load_16(some), values);
            std::memcpy(to + k, values, count * sizeof(float));
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
}  // namespace qtk::avx2
QTK_REGION_END
#endif
