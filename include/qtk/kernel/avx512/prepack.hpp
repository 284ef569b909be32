// SPDX-License-Identifier: Apache-2.0
//
// How do canonical codes become units of the stream, 16 outputs at a time, and back? The 32 codes of
// a row in a unit are `bits` words. Words are turned so that a vector holds one word of 16 outputs,
// which is how a unit's lines lie; what is left are steps inside each word:
//
//   8 bits      nothing
//   4, 2 bits   fields change places: field 8 t + 4 i + j goes from nibble 4 i + j to nibble 2 j + i
//   others      an operand's four fields are cut out of one or two words and spread to bytes, then
//               merged into the planes
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/packed_layout.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>

#if QTK_HAS_X86
QTK_AVX512_REGION
namespace qtk::avx512 {
inline namespace QTK_ABI_NS {

namespace steps {

/// All bytes of a vector are `b`.
QTK_ALWAYS_INLINE __m512i bytes_of(unsigned b) noexcept {
    return _mm512_set1_epi32(static_cast<int>(b * 0x01010101u));
}
QTK_ALWAYS_INLINE __m512i halves_of(unsigned b) noexcept {
    return _mm512_set1_epi32(static_cast<int>(b * 0x00010001u));
}
QTK_ALWAYS_INLINE __m512i words_of(unsigned b) noexcept {
    return _mm512_set1_epi32(static_cast<int>(b));
}
/// a where the mask is set, b elsewhere.
QTK_ALWAYS_INLINE __m512i select(__m512i mask, __m512i a, __m512i b) noexcept {
    return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}
/// a | (b & mask).
QTK_ALWAYS_INLINE __m512i or_masked(__m512i a, __m512i b, __m512i mask) noexcept {
    return _mm512_ternarylogic_epi32(a, b, mask, 0xf8);
}
/// Shifts words left by n, right by -n.
template <int N>
QTK_ALWAYS_INLINE __m512i shifted(__m512i x) noexcept {
    if constexpr (N > 0)
        return _mm512_slli_epi32(x, static_cast<unsigned>(N));
    else if constexpr (N < 0)
        return _mm512_srli_epi32(x, static_cast<unsigned>(-N));
    else
        return x;
}
/// The bits under `mask` and those `N` above them change places.
template <int N>
QTK_ALWAYS_INLINE __m512i swapped(__m512i x, unsigned mask) noexcept {
    __m512i const differ = _mm512_and_si512(_mm512_xor_si512(x, shifted<-N>(x)), words_of(mask));
    return _mm512_ternarylogic_epi32(x, differ, shifted<N>(differ), 0x96);
}

/// Word w of lane l's vector v is exchanged with word v of vector w.
QTK_ALWAYS_INLINE void turn(__m512i (&d)[4]) noexcept {
    __m512i const a = _mm512_unpacklo_epi32(d[0], d[1]), b = _mm512_unpackhi_epi32(d[0], d[1]),
                  c = _mm512_unpacklo_epi32(d[2], d[3]), e = _mm512_unpackhi_epi32(d[2], d[3]);
    d[0] = _mm512_unpacklo_epi64(a, c);
    d[1] = _mm512_unpackhi_epi64(a, c);
    d[2] = _mm512_unpacklo_epi64(b, e);
    d[3] = _mm512_unpackhi_epi64(b, e);
}
QTK_ALWAYS_INLINE __m128i sixteen(std::uint8_t const* from) noexcept {
    return _mm_loadu_si128(reinterpret_cast<__m128i const*>(from));
}
/// d[w] = word w of 16 rows.
QTK_ALWAYS_INLINE void load_rows(std::uint8_t const* from, std::size_t stride,
                                 __m512i (&d)[4]) noexcept {
    QTK_UNROLL
    for (std::size_t q = 0; q < 4; ++q) {
        std::uint8_t const* const r = from + q * stride;
        // A broadcast from memory under a mask does not need the shuffle unit, an insert does.
        __m512i x = _mm512_castsi128_si512(sixteen(r));
        x = _mm512_mask_broadcast_i32x4(x, 0x00f0, sixteen(r + 4 * stride));
        x = _mm512_mask_broadcast_i32x4(x, 0x0f00, sixteen(r + 8 * stride));
        d[q] = _mm512_mask_broadcast_i32x4(x, 0xf000, sixteen(r + 12 * stride));
    }
    turn(d);
}
/// The first `Words` words, exactly.
template <int Words>
QTK_ALWAYS_INLINE void store_row(std::uint8_t* to, __m128i x) noexcept {
    if constexpr (Words == 4)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), x);
    else
        _mm_mask_storeu_epi32(to, static_cast<__mmask8>((1u << Words) - 1u), x);
}
template <int Words>
QTK_ALWAYS_INLINE void store_rows(std::uint8_t* to, std::size_t stride, __m512i (&d)[4]) noexcept {
    turn(d);
    QTK_UNROLL
    for (std::size_t q = 0; q < 4; ++q) {
        std::uint8_t* const r = to + q * stride;
        store_row<Words>(r, _mm512_castsi512_si128(d[q]));
        store_row<Words>(r + 4 * stride, _mm512_extracti32x4_epi32(d[q], 1));
        store_row<Words>(r + 8 * stride, _mm512_extracti32x4_epi32(d[q], 2));
        store_row<Words>(r + 12 * stride, _mm512_extracti32x4_epi32(d[q], 3));
    }
}

/// The two bytes in the middle of each word change places.
QTK_ALWAYS_INLINE __m512i middle_bytes() noexcept {
    return _mm512_set4_epi32(0x0f0d0e0c, 0x0b090a08, 0x07050604, 0x03010200);
}
/// Nibbles or crumbs of a word from the order of the stream to that of a line.
template <int Bits>
QTK_ALWAYS_INLINE __m512i rearranged(__m512i x) noexcept {
    if constexpr (Bits == 4) {
        __m512i const middle = middle_bytes();
        return swapped<4>(_mm512_shuffle_epi8(x, middle), 0x00f000f0u);
    } else {
        return swapped<12>(swapped<6>(x, 0x00cc00ccu), 0x0000f0f0u);
    }
}
template <int Bits>
QTK_ALWAYS_INLINE __m512i arranged_back(__m512i x) noexcept {
    if constexpr (Bits == 4) {
        __m512i const middle = middle_bytes();
        return _mm512_shuffle_epi8(swapped<4>(x, 0x00f000f0u), middle);
    } else {
        return rearranged<Bits>(x);
    }
}

/// Operand I out of a row's words: four fields, a byte each.
template <int Bits, int I>
QTK_ALWAYS_INLINE __m512i operand(__m512i const (&d)[8]) noexcept {
    constexpr int bit = 4 * Bits * I, word = bit / 32, shift = bit % 32;
    __m512i x = shifted<-shift>(d[word]);
    if constexpr (shift + 4 * Bits > 32) x = _mm512_or_si512(x, shifted<32 - shift>(d[word + 1]));
    x = select(words_of(0xffffu), x, shifted<16 - 2 * Bits>(x));
    x = select(halves_of(0xffu), x, shifted<8 - Bits>(x));
    return _mm512_and_si512(x, bytes_of((1u << Bits) - 1u));
}
/// The inverse: adds the operand's bits to words that are zero there.
template <int Bits, int I>
QTK_ALWAYS_INLINE void add_operand(__m512i x, __m512i (&d)[8]) noexcept {
    constexpr int bit = 4 * Bits * I, word = bit / 32, shift = bit % 32;
    x = select(halves_of((1u << Bits) - 1u), x,
               _mm512_srli_epi16(x, static_cast<unsigned>(8 - Bits)));
    x = select(words_of((1u << 2 * Bits) - 1u), x, shifted<2 * Bits - 16>(x));
    d[word] = _mm512_or_si512(d[word], shifted<shift>(x));
    if constexpr (shift + 4 * Bits > 32)
        d[word + 1] = _mm512_or_si512(d[word + 1], shifted<shift - 32>(x));
}

/// Adds operand I to its planes.
template <int Bits, int I>
QTK_ALWAYS_INLINE void merge(__m512i x, __m512i (&low)[8], __m512i (&high)[2]) noexcept {
    constexpr bit_planes p = planes_of(Bits);
    constexpr int at = p.low * (I % (8 / p.low)), above = high_bit_of(p, I);
    constexpr unsigned low_mask = ((1u << p.low) - 1u) << at, high_mask = ((1u << p.high) - 1u)
                                                                          << above;
    __m512i& line = low[I / (8 / p.low)];
    line = or_masked(line, shifted<at>(x), bytes_of(low_mask));
    if constexpr (p.high > 0) {
        __m512i& top = high[p.high == 2 ? I / 4 : 0];
        top = or_masked(top, shifted<above - p.low>(x), bytes_of(high_mask));
    }
}
template <int Bits, int I>
QTK_ALWAYS_INLINE __m512i split(__m512i const (&low)[8], __m512i const (&high)[2]) noexcept {
    constexpr bit_planes p = planes_of(Bits);
    constexpr int at = p.low * (I % (8 / p.low)), above = high_bit_of(p, I);
    constexpr unsigned high_mask = ((1u << p.high) - 1u) << p.low;
    __m512i const x =
        _mm512_and_si512(shifted<-at>(low[I / (8 / p.low)]), bytes_of((1u << p.low) - 1u));
    if constexpr (p.high == 0) return x;
    return or_masked(x, shifted<p.low - above>(high[p.high == 2 ? I / 4 : 0]), bytes_of(high_mask));
}

template <int Bits, int I = 0>
QTK_ALWAYS_INLINE void merge_all(__m512i const (&d)[8], __m512i (&low)[8],
                                 __m512i (&high)[2]) noexcept {
    merge<Bits, I>(operand<Bits, I>(d), low, high);
    if constexpr (I < 7) merge_all<Bits, I + 1>(d, low, high);
}
template <int Bits, int I = 0>
QTK_ALWAYS_INLINE void split_all(__m512i const (&low)[8], __m512i const (&high)[2],
                                 __m512i (&d)[8]) noexcept {
    add_operand<Bits, I>(split<Bits, I>(low, high), d);
    if constexpr (I < 7) split_all<Bits, I + 1>(low, high, d);
}

/// 16 rows of one unit to one half of its lines.
template <int Bits>
QTK_ALWAYS_INLINE void pack_half(std::uint8_t const* from, std::size_t stride,
                                 std::uint8_t* to) noexcept {
    constexpr bit_planes p = planes_of(Bits);
    constexpr std::size_t low_lines = static_cast<std::size_t>(p.low),
                          high_lines = static_cast<std::size_t>(p.high);
    __m512i first[4], last[4], d[8], low[8], high[2];
    load_rows(from, stride, first);
    QTK_UNROLL
    for (int i = 0; i < 4; ++i) d[i] = first[i];
    if constexpr (Bits > 4) {
        load_rows(from + 4 * Bits - 16, stride, last);
        QTK_UNROLL
        for (int i = 0; i < 4; ++i) d[Bits - 4 + i] = last[i];
    }
    if constexpr (Bits == 8) {
        QTK_UNROLL
        for (int i = 0; i < 8; ++i) low[i] = d[i];
    } else if constexpr (Bits == 4 || Bits == 2) {
        QTK_UNROLL
        for (int i = 0; i < Bits; ++i) low[i] = rearranged<Bits>(d[i]);
    } else {
        QTK_UNROLL
        for (int i = 0; i < p.low; ++i) low[i] = _mm512_setzero_si512();
        QTK_UNROLL
        for (int i = 0; i < p.high; ++i) high[i] = _mm512_setzero_si512();
        merge_all<Bits>(d, low, high);
    }
    QTK_UNROLL
    for (std::size_t i = 0; i < low_lines; ++i) _mm512_store_si512(to + 2 * cache_line * i, low[i]);
    QTK_UNROLL
    for (std::size_t i = 0; i < high_lines; ++i)
        _mm512_store_si512(to + 2 * cache_line * (low_lines + i), high[i]);
}

template <int Bits>
QTK_ALWAYS_INLINE void unpack_half(std::uint8_t const* from, std::uint8_t* to,
                                   std::size_t stride) noexcept {
    constexpr bit_planes p = planes_of(Bits);
    constexpr std::size_t low_lines = static_cast<std::size_t>(p.low),
                          high_lines = static_cast<std::size_t>(p.high);
    __m512i low[8], high[2], d[8], part[4];
    QTK_UNROLL
    for (std::size_t i = 0; i < low_lines; ++i)
        low[i] = _mm512_load_si512(from + 2 * cache_line * i);
    QTK_UNROLL
    for (std::size_t i = 0; i < high_lines; ++i)
        high[i] = _mm512_load_si512(from + 2 * cache_line * (low_lines + i));
    QTK_UNROLL
    for (int i = 0; i < 8; ++i) d[i] = _mm512_setzero_si512();
    if constexpr (Bits == 8) {
        QTK_UNROLL
        for (int i = 0; i < 8; ++i) d[i] = low[i];
    } else if constexpr (Bits == 4 || Bits == 2) {
        QTK_UNROLL
        for (int i = 0; i < Bits; ++i) d[i] = arranged_back<Bits>(low[i]);
    } else {
        split_all<Bits>(low, high, d);
    }
    QTK_UNROLL
    for (int i = 0; i < 4; ++i) part[i] = d[i];
    store_rows<(Bits < 4 ? Bits : 4)>(to, stride, part);
    if constexpr (Bits > 4) {
        QTK_UNROLL
        for (int i = 0; i < 4; ++i) part[i] = d[Bits - 4 + i];
        store_rows<4>(to + 4 * Bits - 16, stride, part);
    }
}

}  // namespace steps

/// `bytes` of each of `count` rows to rows of stage_stride. Rows of a power of two bytes fall on each
/// other in the first cache: each of their lines is fetched once, here.
inline void stage_rows(std::uint8_t const* from, std::size_t stride, std::size_t count,
                       std::size_t bytes, std::uint8_t* to) noexcept {
    for (std::size_t c = 0; c < count; ++c, from += stride, to += stage_stride) {
        std::size_t i = 0;
        for (; i + 64 <= bytes; i += 64) _mm512_storeu_si512(to + i, _mm512_loadu_si512(from + i));
        if (i < bytes) {
            __mmask64 const rest = ~std::uint64_t{0} >> (64 - (bytes - i));
            _mm512_storeu_si512(to + i, _mm512_maskz_loadu_epi8(rest, from + i));
        }
    }
}

/// Canonical codes of 32 rows, `stride` bytes apart, to `count` units of the stream, `size` bytes
/// each. Reads at least 16 bytes of a row and unit, also where 2 and 3 bits need fewer.
template <int Bits>
void pack_units(std::uint8_t const* from, std::size_t stride, std::size_t count, std::size_t size,
                std::uint8_t* to) noexcept {
    for (std::size_t u = 0; u < count; ++u, from += 4 * Bits, to += size) {
        steps::pack_half<Bits>(from, stride, to);
        steps::pack_half<Bits>(from + 16 * stride, stride, to + cache_line);
    }
}
/// The inverse; writes nothing but the rows' own bytes.
template <int Bits>
void unpack_units(std::uint8_t const* from, std::size_t count, std::size_t size, std::uint8_t* to,
                  std::size_t stride) noexcept {
    for (std::size_t u = 0; u < count; ++u, to += 4 * Bits, from += size) {
        steps::unpack_half<Bits>(from, to, stride);
        steps::unpack_half<Bits>(from + cache_line, to + 16 * stride, stride);
    }
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512
QTK_REGION_END
#endif
