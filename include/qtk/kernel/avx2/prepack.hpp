// SPDX-License-Identifier: Apache-2.0
//
// How do canonical codes become units of the stream, 8 outputs at a time, and back? The 32 codes of
// a row in a unit are `bits` words. Words are turned so that a vector holds one word of 8 outputs,
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
#include <cstring>

#if QTK_HAS_X86
QTK_AVX2_REGION
namespace qtk::avx2 {
inline namespace QTK_ABI_NS {

namespace steps {

/// All bytes of a vector are `b`.
QTK_ALWAYS_INLINE __m256i bytes_of(unsigned b) noexcept {
    return _mm256_set1_epi32(static_cast<int>(b * 0x01010101u));
}
QTK_ALWAYS_INLINE __m256i halves_of(unsigned b) noexcept {
    return _mm256_set1_epi32(static_cast<int>(b * 0x00010001u));
}
QTK_ALWAYS_INLINE __m256i words_of(unsigned b) noexcept {
    return _mm256_set1_epi32(static_cast<int>(b));
}
/// a where the mask is set, b elsewhere.
QTK_ALWAYS_INLINE __m256i select(__m256i mask, __m256i a, __m256i b) noexcept {
    return _mm256_or_si256(_mm256_and_si256(mask, a), _mm256_andnot_si256(mask, b));
}
/// a | (b & mask).
QTK_ALWAYS_INLINE __m256i or_masked(__m256i a, __m256i b, __m256i mask) noexcept {
    return _mm256_or_si256(a, _mm256_and_si256(b, mask));
}
/// Shifts words left by n, right by -n.
template <int N>
QTK_ALWAYS_INLINE __m256i shifted(__m256i x) noexcept {
    if constexpr (N > 0)
        return _mm256_slli_epi32(x, N);
    else if constexpr (N < 0)
        return _mm256_srli_epi32(x, -N);
    else
        return x;
}
/// The bits under `mask` and those `N` above them change places.
template <int N>
QTK_ALWAYS_INLINE __m256i swapped(__m256i x, unsigned mask) noexcept {
    __m256i const differ = _mm256_and_si256(_mm256_xor_si256(x, shifted<-N>(x)), words_of(mask));
    return _mm256_xor_si256(x, _mm256_xor_si256(differ, shifted<N>(differ)));
}

/// Word w of lane l's vector v is exchanged with word v of vector w.
QTK_ALWAYS_INLINE void turn(__m256i (&d)[4]) noexcept {
    __m256i const a = _mm256_unpacklo_epi32(d[0], d[1]), b = _mm256_unpackhi_epi32(d[0], d[1]),
                  c = _mm256_unpacklo_epi32(d[2], d[3]), e = _mm256_unpackhi_epi32(d[2], d[3]);
    d[0] = _mm256_unpacklo_epi64(a, c);
    d[1] = _mm256_unpackhi_epi64(a, c);
    d[2] = _mm256_unpacklo_epi64(b, e);
    d[3] = _mm256_unpackhi_epi64(b, e);
}
/// d[w] = word w of 8 rows.
QTK_ALWAYS_INLINE void load_rows(std::uint8_t const* from, std::size_t stride,
                                 __m256i (&d)[4]) noexcept {
    QTK_UNROLL
    for (std::size_t q = 0; q < 4; ++q) {
        auto const* const r = from + q * stride;
        d[q] = _mm256_inserti128_si256(
            _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<__m128i const*>(r))),
            _mm_loadu_si128(reinterpret_cast<__m128i const*>(r + 4 * stride)), 1);
    }
    turn(d);
}
/// The first `Words` words, exactly.
template <int Words>
QTK_ALWAYS_INLINE void store_row(std::uint8_t* to, __m128i x) noexcept {
    if constexpr (Words == 4) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), x);
    } else {
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to), x);
        if constexpr (Words == 3) {
            int const third = _mm_extract_epi32(x, 2);
            std::memcpy(to + 8, &third, sizeof third);
        }
    }
}
template <int Words>
QTK_ALWAYS_INLINE void store_rows(std::uint8_t* to, std::size_t stride, __m256i (&d)[4]) noexcept {
    turn(d);
    QTK_UNROLL
    for (std::size_t q = 0; q < 4; ++q) {
        std::uint8_t* const r = to + q * stride;
        store_row<Words>(r, _mm256_castsi256_si128(d[q]));
        store_row<Words>(r + 4 * stride, _mm256_extracti128_si256(d[q], 1));
    }
}

/// The two bytes in the middle of each word change places.
QTK_ALWAYS_INLINE __m256i middle_bytes() noexcept {
    return _mm256_setr_epi32(0x03010200, 0x07050604, 0x0b090a08, 0x0f0d0e0c, 0x03010200, 0x07050604,
                             0x0b090a08, 0x0f0d0e0c);
}
/// Nibbles or crumbs of a word from the order of the stream to that of a line.
template <int Bits>
QTK_ALWAYS_INLINE __m256i rearranged(__m256i x) noexcept {
    if constexpr (Bits == 4) {
        __m256i const middle = middle_bytes();
        return swapped<4>(_mm256_shuffle_epi8(x, middle), 0x00f000f0u);
    } else {
        return swapped<12>(swapped<6>(x, 0x00cc00ccu), 0x0000f0f0u);
    }
}
template <int Bits>
QTK_ALWAYS_INLINE __m256i arranged_back(__m256i x) noexcept {
    if constexpr (Bits == 4) {
        __m256i const middle = middle_bytes();
        return _mm256_shuffle_epi8(swapped<4>(x, 0x00f000f0u), middle);
    } else {
        return rearranged<Bits>(x);
    }
}

/// Operand I out of a row's words: four fields, a byte each.
template <int Bits, int I>
QTK_ALWAYS_INLINE __m256i operand(__m256i const (&d)[8]) noexcept {
    constexpr int bit = 4 * Bits * I, word = bit / 32, shift = bit % 32;
    __m256i x = shifted<-shift>(d[word]);
    if constexpr (shift + 4 * Bits > 32) x = _mm256_or_si256(x, shifted<32 - shift>(d[word + 1]));
    x = select(words_of(0xffffu), x, shifted<16 - 2 * Bits>(x));
    x = select(halves_of(0xffu), x, shifted<8 - Bits>(x));
    return _mm256_and_si256(x, bytes_of((1u << Bits) - 1u));
}
/// The inverse: adds the operand's bits to words that are zero there.
template <int Bits, int I>
QTK_ALWAYS_INLINE void add_operand(__m256i x, __m256i (&d)[8]) noexcept {
    constexpr int bit = 4 * Bits * I, word = bit / 32, shift = bit % 32;
    x = select(halves_of((1u << Bits) - 1u), x, _mm256_srli_epi16(x, 8 - Bits));
    x = select(words_of((1u << 2 * Bits) - 1u), x, shifted<2 * Bits - 16>(x));
    d[word] = _mm256_or_si256(d[word], shifted<shift>(x));
    if constexpr (shift + 4 * Bits > 32)
        d[word + 1] = _mm256_or_si256(d[word + 1], shifted<shift - 32>(x));
}

/// Adds operand I to its planes.
template <int Bits, int I>
QTK_ALWAYS_INLINE void merge(__m256i x, __m256i (&low)[8], __m256i (&high)[2]) noexcept {
    constexpr bit_planes p = planes_of(Bits);
    constexpr int at = p.low * (I % (8 / p.low)), above = high_bit_of(p, I);
    constexpr unsigned low_mask = ((1u << p.low) - 1u) << at, high_mask = ((1u << p.high) - 1u)
                                                                          << above;
    __m256i& line = low[I / (8 / p.low)];
    line = or_masked(line, shifted<at>(x), bytes_of(low_mask));
    if constexpr (p.high > 0) {
        __m256i& top = high[p.high == 2 ? I / 4 : 0];
        top = or_masked(top, shifted<above - p.low>(x), bytes_of(high_mask));
    }
}
template <int Bits, int I>
QTK_ALWAYS_INLINE __m256i split(__m256i const (&low)[8], __m256i const (&high)[2]) noexcept {
    constexpr bit_planes p = planes_of(Bits);
    constexpr int at = p.low * (I % (8 / p.low)), above = high_bit_of(p, I);
    constexpr unsigned high_mask = ((1u << p.high) - 1u) << p.low;
    __m256i const x =
        _mm256_and_si256(shifted<-at>(low[I / (8 / p.low)]), bytes_of((1u << p.low) - 1u));
    if constexpr (p.high == 0) return x;
    return or_masked(x, shifted<p.low - above>(high[p.high == 2 ? I / 4 : 0]), bytes_of(high_mask));
}

template <int Bits, int I = 0>
QTK_ALWAYS_INLINE void merge_all(__m256i const (&d)[8], __m256i (&low)[8],
                                 __m256i (&high)[2]) noexcept {
    merge<Bits, I>(operand<Bits, I>(d), low, high);
    if constexpr (I < 7) merge_all<Bits, I + 1>(d, low, high);
}
template <int Bits, int I = 0>
QTK_ALWAYS_INLINE void split_all(__m256i const (&low)[8], __m256i const (&high)[2],
                                 __m256i (&d)[8]) noexcept {
    add_operand<Bits, I>(split<Bits, I>(low, high), d);
    if constexpr (I < 7) split_all<Bits, I + 1>(low, high, d);
}

/// 8 rows of one unit to one quarter of its lines.
template <int Bits>
QTK_ALWAYS_INLINE void pack_quarter(std::uint8_t const* from, std::size_t stride,
                                    std::uint8_t* to) noexcept {
    constexpr bit_planes p = planes_of(Bits);
    constexpr std::size_t low_lines = static_cast<std::size_t>(p.low),
                          high_lines = static_cast<std::size_t>(p.high);
    __m256i first[4], last[4], d[8], low[8], high[2];
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
        for (int i = 0; i < p.low; ++i) low[i] = _mm256_setzero_si256();
        QTK_UNROLL
        for (int i = 0; i < p.high; ++i) high[i] = _mm256_setzero_si256();
        merge_all<Bits>(d, low, high);
    }
    QTK_UNROLL
    for (std::size_t i = 0; i < low_lines; ++i)
        _mm256_store_si256(reinterpret_cast<__m256i*>(to + 2 * cache_line * i), low[i]);
    QTK_UNROLL
    for (std::size_t i = 0; i < high_lines; ++i)
        _mm256_store_si256(reinterpret_cast<__m256i*>(to + 2 * cache_line * (low_lines + i)),
                           high[i]);
}

template <int Bits>
QTK_ALWAYS_INLINE void unpack_quarter(std::uint8_t const* from, std::uint8_t* to,
                                      std::size_t stride) noexcept {
    constexpr bit_planes p = planes_of(Bits);
    constexpr std::size_t low_lines = static_cast<std::size_t>(p.low),
                          high_lines = static_cast<std::size_t>(p.high);
    __m256i low[8], high[2], d[8], part[4];
    QTK_UNROLL
    for (std::size_t i = 0; i < low_lines; ++i)
        low[i] = _mm256_load_si256(reinterpret_cast<__m256i const*>(from + 2 * cache_line * i));
    QTK_UNROLL
    for (std::size_t i = 0; i < high_lines; ++i)
        high[i] = _mm256_load_si256(
            reinterpret_cast<__m256i const*>(from + 2 * cache_line * (low_lines + i)));
    QTK_UNROLL
    for (int i = 0; i < 8; ++i) d[i] = _mm256_setzero_si256();
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
        for (; i + 32 <= bytes; i += 32)
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                                _mm256_loadu_si256(reinterpret_cast<__m256i const*>(from + i)));
        if (i < bytes) std::memcpy(to + i, from + i, bytes - i);
    }
}

/// Canonical codes of 32 rows, `stride` bytes apart, to `count` units of the stream, `size` bytes
/// each. Reads at least 16 bytes of a row and unit, also where 2 and 3 bits need fewer.
template <int Bits>
void pack_units(std::uint8_t const* from, std::size_t stride, std::size_t count, std::size_t size,
                std::uint8_t* to) noexcept {
    for (std::size_t u = 0; u < count; ++u, from += 4 * Bits, to += size) {
        for (std::size_t q = 0; q < 4; ++q)
            steps::pack_quarter<Bits>(from + 8 * q * stride, stride,
                                      to + cache_line * (q / 2) + 32 * (q % 2));
    }
}
/// The inverse; writes nothing but the rows' own bytes.
template <int Bits>
void unpack_units(std::uint8_t const* from, std::size_t count, std::size_t size, std::uint8_t* to,
                  std::size_t stride) noexcept {
    for (std::size_t u = 0; u < count; ++u, to += 4 * Bits, from += size) {
        for (std::size_t q = 0; q < 4; ++q)
            steps::unpack_quarter<Bits>(from + cache_line * (q / 2) + 32 * (q % 2),
                                        to + 8 * q * stride, stride);
    }
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx2
QTK_REGION_END
#endif
