// SPDX-License-Identifier: Apache-2.0
//
// How do packed codes become bytes with sign, the second factor of a tile product? gf2p8affineqb
// gathers the bits of a field from any places of a byte and repeats the uppermost one, inverted, up
// to the sign: field - 2^(bits - 1) in one instruction. Before it the high bits of 3-, 5- and 6-bit
// codes join the low ones by a select, after at most one shift of their line for several operands.
//
//   2, 4 bits   gather                      8 bits   subtract the bias
//   3 bits      select for two, gather      tables   vpermb, which looks at six bits of a byte: 16
//   5, 6 bits   select, gather                       levels four times, so that no mask is needed
//
// (Leaving codes scaled by a power of two and folding that into the scales would save nothing, and
// round differently where a product of scales is subnormal.)
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/avx512/operands.hpp>
#include <qtk/kernel/avx512/stream_int8.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86

namespace qtk::amx {
inline namespace QTK_ABI_NS {

using avx512::looked_up;

/// The matrix of gf2p8affineqb whose result has bit Bits[i] of its operand at bit i, and the last of
/// them at all higher bits.
template <int... Bits>
[[nodiscard]] constexpr std::uint64_t gathering() noexcept {
    constexpr int places[] = {Bits...};
    constexpr int count = sizeof...(Bits);
    std::uint64_t matrix = 0;
    for (int i = 0; i < 8; ++i)
        matrix |= std::uint64_t{1} << (8 * (7 - i) + places[i < count ? i : count - 1]);
    return matrix;
}
static_assert(gathering<0, 1, 2, 3, 4, 5, 6, 7>() == 0x0102'0408'1020'4080, "the identity");

QTK_AMX_REGION

/// The field whose bits lie at Bits, lowest first, less half its range.
template <int... Bits>
QTK_ALWAYS_INLINE __m512i centred(__m512i v) {
    constexpr std::uint64_t matrix = gathering<Bits...>();
    constexpr int inverted = 0xff << (sizeof...(Bits) - 1) & 0xff;
    return _mm512_gf2p8affine_epi64_epi8(v, _mm512_set1_epi64(static_cast<long long>(matrix)),
                                         inverted);
}

/// What kinds 8 and looked_up need besides the codes: the bias, or the levels.
template <int Kind>
QTK_ALWAYS_INLINE __m512i constant_of(avx512::int8_context const& job) {
    __m512i const bias = _mm512_set1_epi8(static_cast<char>(job.bias));
    if constexpr (Kind != looked_up) return bias;
    __m128i const table = _mm_load_si128(reinterpret_cast<__m128i const*>(job.table));
    return _mm512_sub_epi8(_mm512_broadcast_i32x4(table), bias);
}

/// The eight operands of half h of a unit.
template <int Kind>
QTK_ALWAYS_INLINE void signed_operands(std::uint8_t const* unit, int h, __m512i constant,
                                       __m512i (&op)[8]) {
    using avx512::line_at;
    using avx512::select_bits;
    if constexpr (Kind == 2) {
        QTK_UNROLL
        for (int q = 0; q < 2; ++q) {
            __m512i const v = line_at(unit, 2 * q + h);
            op[4 * q] = centred<0, 1>(v), op[4 * q + 1] = centred<2, 3>(v);
            op[4 * q + 2] = centred<4, 5>(v), op[4 * q + 3] = centred<6, 7>(v);
        }
    } else if constexpr (Kind == 3) {
        __m512i const v = line_at(unit, h), w = line_at(unit, 2 + h), high = line_at(unit, 4 + h);
        __m512i const a = select_bits<0x33>(v, high);
        __m512i const b = select_bits<0xcc>(v, _mm512_srli_epi16(high, 2));
        __m512i const c = select_bits<0x33>(w, _mm512_slli_epi16(high, 2));
        __m512i const d = select_bits<0xcc>(w, high);
        op[0] = centred<0, 1, 2>(a), op[2] = centred<4, 5, 6>(a);
        op[1] = centred<2, 3, 1>(b), op[3] = centred<6, 7, 5>(b);
        op[4] = centred<0, 1, 2>(c), op[6] = centred<4, 5, 6>(c);
        op[5] = centred<2, 3, 1>(d), op[7] = centred<6, 7, 5>(d);
    } else if constexpr (Kind == 4) {
        QTK_UNROLL
        for (int i = 0; i < 4; ++i) {
            __m512i const v = line_at(unit, 2 * i + h);
            op[2 * i] = centred<0, 1, 2, 3>(v), op[2 * i + 1] = centred<4, 5, 6, 7>(v);
        }
    } else if constexpr (Kind == 5) {
        __m512i const v0 = line_at(unit, h), v1 = line_at(unit, 2 + h);
        __m512i const v2 = line_at(unit, 4 + h), v3 = line_at(unit, 6 + h);
        __m512i const high = line_at(unit, 8 + h);
        __m512i const up = _mm512_slli_epi16(high, 3), down = _mm512_srli_epi16(high, 4);
        op[0] = centred<0, 1, 2, 3, 7>(select_bits<0x0f>(v0, up));
        op[1] = centred<4, 5, 6, 7, 3>(select_bits<0xf0>(v0, down));
        op[2] = centred<0, 1, 2, 3, 6>(select_bits<0x0f>(v1, up));
        op[3] = centred<4, 5, 6, 7, 2>(select_bits<0xf0>(v1, down));
        op[4] = centred<0, 1, 2, 3, 5>(select_bits<0x0f>(v2, up));
        op[5] = centred<4, 5, 6, 7, 1>(select_bits<0xf0>(v2, down));
        op[6] = centred<0, 1, 2, 3, 4>(select_bits<0x0f>(v3, up));
        op[7] = centred<4, 5, 6, 7, 0>(select_bits<0xf0>(v3, high));
    } else if constexpr (Kind == 6) {
        QTK_UNROLL
        for (int q = 0; q < 2; ++q) {
            __m512i const v = line_at(unit, 4 * q + h), w = line_at(unit, 4 * q + 2 + h);
            __m512i const high = line_at(unit, 8 + 2 * q + h);
            __m512i const up = _mm512_slli_epi16(high, 4), down = _mm512_srli_epi16(high, 4);
            op[4 * q] = centred<0, 1, 2, 3, 4, 5>(select_bits<0x0f>(v, high));
            op[4 * q + 1] = centred<4, 5, 6, 7, 2, 3>(select_bits<0xf0>(v, down));
            op[4 * q + 2] = centred<0, 1, 2, 3, 4, 5>(select_bits<0x0f>(w, up));
            op[4 * q + 3] = centred<4, 5, 6, 7, 2, 3>(select_bits<0xf0>(w, high));
        }
    } else if constexpr (Kind == 8) {
        QTK_UNROLL
        for (int i = 0; i < 8; ++i) op[i] = _mm512_sub_epi8(line_at(unit, 2 * i + h), constant);
    } else {
        QTK_UNROLL
        for (int i = 0; i < 4; ++i) {
            __m512i const v = line_at(unit, 2 * i + h);
            op[2 * i] = _mm512_permutexvar_epi8(v, constant);
            op[2 * i + 1] = _mm512_permutexvar_epi8(_mm512_srli_epi16(v, 4), constant);
        }
    }
}

/// Writes a unit as eight rows of a tile for each half; the second half's lie `half` bytes behind.
template <int Kind>
QTK_ALWAYS_INLINE void unpack_unit(std::uint8_t const* unit, __m512i constant, std::uint8_t* to,
                                   std::size_t half) {
    QTK_UNROLL
    for (int h = 0; h < 2; ++h, to += half) {
        __m512i op[8];
        signed_operands<Kind>(unit, h, constant, op);
        QTK_UNROLL
        for (int i = 0; i < 8; ++i) _mm512_store_si512(to + 64 * i, op[i]);
    }
}

QTK_REGION_END

}  // namespace QTK_ABI_NS
}  // namespace qtk::amx

#endif
