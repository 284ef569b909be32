// SPDX-License-Identifier: Apache-2.0
//
// How do packed codes become operands of vpdpbusd? Four operands of both halves of a unit at a time
// (k 16 q .. 16 q + 15 of 32 outputs). Bringing every code down to bit 0 would cost a shift and a
// mask each; here some stay where they are, as a power of two times their value, and their sums are
// shifted down once a segment instead:
//
//   2 bits   v & 03, v >> 2 & 03 | v & 30, v >> 2 & 30         the second pair is 16 times its value
//   3 bits   one select of low and high plane serves two operands: & 07 | & 70        16 times
//   4 bits   v & 0f | v & f0                                                          16 times
//   5 bits   v | high at bit 4 | v >> 1 with high at bit 7                             8 times
//   6 bits   v | high at bits 4, 5 | v >> 2 with high at bits 6, 7                     4 times
//   8 bits   v
//   tables   vpshufb of the nibble
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/packed_layout.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86

namespace qtk::avx512 {
inline namespace QTK_ABI_NS {

/// What changes the instructions: the bits of a stored field, or 16 levels that are looked up.
inline constexpr int looked_up = 16;

/// Lines of a unit.
[[nodiscard]] constexpr std::size_t lines_of(int kind) noexcept {
    return kind == looked_up ? 8 : 2 * static_cast<std::size_t>(kind);
}
/// Is operand i (of 0..3) left scaled, and by how many bits?
[[nodiscard]] constexpr bool is_left_scaled(int kind, int i) noexcept {
    if (kind == 2 || kind == 3) return i >= 2;
    return kind < 8 && i % 2 == 1;
}
[[nodiscard]] constexpr int scaled_by(int kind) noexcept {
    return kind == 5 ? 3 : kind == 6 ? 2 : 4;
}

QTK_AVX512_REGION

/// Bits of `mask` from a, the others from b.
template <int Mask>
QTK_ALWAYS_INLINE __m512i select_bits(__m512i a, __m512i b) {
    return _mm512_ternarylogic_epi32(_mm512_set1_epi8(static_cast<char>(Mask)), a, b, 0xca);
}
template <int Mask>
QTK_ALWAYS_INLINE __m512i masked(__m512i v) {
    return _mm512_and_si512(v, _mm512_set1_epi8(static_cast<char>(Mask)));
}
/// A line in a register: compilers would rather load it again for each mask, and loads are scarce.
QTK_ALWAYS_INLINE __m512i line_at(std::uint8_t const* unit, int line) {
    __m512i v = _mm512_load_si512(unit + 64 * line);
    __asm__("" : "+v"(v));
    return v;
}

/// Operands 4 q .. 4 q + 3 of half h, left scaled as is_left_scaled says. `table` holds the levels
/// of looked-up formats as bytes without sign.
template <int Kind, int Q>
QTK_ALWAYS_INLINE void operands(std::uint8_t const* unit, int h, __m512i table, __m512i (&op)[4]) {
    if constexpr (Kind == 2) {
        __m512i const v = line_at(unit, 2 * Q + h), w = _mm512_srli_epi16(v, 2);
        op[0] = masked<0x03>(v), op[1] = masked<0x03>(w);
        op[2] = masked<0x30>(v), op[3] = masked<0x30>(w);
    } else if constexpr (Kind == 3) {
        __m512i const v = line_at(unit, 2 * Q + h), high = line_at(unit, 4 + h);
        __m512i const even = Q == 0 ? high : _mm512_slli_epi16(high, 2);
        __m512i const odd = Q == 0 ? _mm512_srli_epi16(high, 1) : _mm512_slli_epi16(high, 1);
        __m512i const a = select_bits<0x33>(v, even);
        __m512i const b = select_bits<0x33>(_mm512_srli_epi16(v, 2), odd);
        op[0] = masked<0x07>(a), op[1] = masked<0x07>(b);
        op[2] = masked<0x70>(a), op[3] = masked<0x70>(b);
    } else if constexpr (Kind == 4) {
        __m512i const v = line_at(unit, 4 * Q + h), w = line_at(unit, 4 * Q + 2 + h);
        op[0] = masked<0x0f>(v), op[1] = masked<0xf0>(v);
        op[2] = masked<0x0f>(w), op[3] = masked<0xf0>(w);
    } else if constexpr (Kind == 5) {
        __m512i const v = line_at(unit, 4 * Q + h), w = line_at(unit, 4 * Q + 2 + h);
        __m512i const high = line_at(unit, 8 + h);
        __m512i const first = Q == 0 ? high : _mm512_slli_epi16(high, 2);
        __m512i const second = _mm512_slli_epi16(high, Q == 0 ? 1 : 3);
        __m512i const last = Q == 0 ? second : _mm512_slli_epi16(high, 7);
        op[0] = masked<0x1f>(select_bits<0x0f>(v, first));
        op[1] = masked<0xf8>(select_bits<0x78>(_mm512_srli_epi16(v, 1), first));
        op[2] = masked<0x1f>(select_bits<0x0f>(w, second));
        op[3] = masked<0xf8>(select_bits<0x78>(_mm512_srli_epi16(w, 1), last));
    } else if constexpr (Kind == 6) {
        __m512i const v = line_at(unit, 4 * Q + h), w = line_at(unit, 4 * Q + 2 + h);
        __m512i const high = line_at(unit, 8 + 2 * Q + h), up = _mm512_slli_epi16(high, 4);
        op[0] = masked<0x3f>(select_bits<0x0f>(v, high));
        op[1] = masked<0xfc>(select_bits<0x3c>(_mm512_srli_epi16(v, 2), high));
        op[2] = masked<0x3f>(select_bits<0x0f>(w, up));
        op[3] = masked<0xfc>(select_bits<0x3c>(_mm512_srli_epi16(w, 2), up));
    } else if constexpr (Kind == 8) {
        for (int i = 0; i < 4; ++i) op[i] = _mm512_load_si512(unit + 64 * (8 * Q + 2 * i + h));
    } else {
        __m512i const v = line_at(unit, 4 * Q + h), w = line_at(unit, 4 * Q + 2 + h);
        op[0] = _mm512_shuffle_epi8(table, masked<0x0f>(v));
        op[1] = _mm512_shuffle_epi8(table, masked<0x0f>(_mm512_srli_epi16(v, 4)));
        op[2] = _mm512_shuffle_epi8(table, masked<0x0f>(w));
        op[3] = _mm512_shuffle_epi8(table, masked<0x0f>(_mm512_srli_epi16(w, 4)));
    }
}

/// A left-scaled operand brought down to its value.
template <int Kind>
QTK_ALWAYS_INLINE __m512i brought_down(__m512i op) {
    constexpr int shift = scaled_by(Kind);
    return _mm512_and_si512(_mm512_srli_epi16(op, shift),
                            _mm512_set1_epi8(static_cast<char>(0xff >> shift)));
}

/// Writes a unit as 8 + 8 operands of bytes without sign, at their value.
template <int Kind>
QTK_ALWAYS_INLINE void unpack_unit(std::uint8_t const* unit, __m512i table, std::uint8_t* half0,
                                   std::uint8_t* half1) {
    QTK_UNROLL
    for (int h = 0; h < 2; ++h) {
        std::uint8_t* const to = h == 0 ? half0 : half1;
        __m512i first[4], second[4];
        operands<Kind, 0>(unit, h, table, first);
        operands<Kind, 1>(unit, h, table, second);
        QTK_UNROLL
        for (int i = 0; i < 4; ++i) {
            bool const scaled = is_left_scaled(Kind, i);
            _mm512_store_si512(to + 64 * i, scaled ? brought_down<Kind>(first[i]) : first[i]);
            _mm512_store_si512(to + 256 + 64 * i,
                               scaled ? brought_down<Kind>(second[i]) : second[i]);
        }
    }
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512

#endif
