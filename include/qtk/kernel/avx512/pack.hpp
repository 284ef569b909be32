// SPDX-License-Identifier: Apache-2.0
//
// How do 64 fields become a stream of bits, and back? Packing joins neighbours by multiply-and-add,
// twice as many bits a step: bytes to words, words to dwords; then whole bytes move together.
// Unpacking moves the bytes that hold a field into its lane and shifts them (bit_windows.hpp).
#pragma once

#include <qtk/core/abi.hpp>
#include <qtk/kernel/bit_windows.hpp>
#include <qtk/kernel/target.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if QTK_HAS_X86
QTK_AVX512_REGION
namespace qtk::avx512 {
inline namespace QTK_ABI_NS {

[[nodiscard]] QTK_ALWAYS_INLINE __m128i load_16(std::uint8_t const* p) noexcept {
    return _mm_loadu_si128(reinterpret_cast<__m128i const*>(p));
}
QTK_ALWAYS_INLINE void store_16(std::uint8_t* p, __m128i v) noexcept {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v);
}

/// 64 fields to 8 * b bytes; up to 10 * b + 16 bytes are written.
QTK_ALWAYS_INLINE void pack_64(__m512i dwords, __m128i shift, __m512i gather, std::size_t b,
                               std::uint8_t* bytes) noexcept {
    // The upper dword of each pair moves down to touch the lower one, then the bytes in use of two
    // pairs move together. A store of a quarter covers more; the next one corrects that.
    __m512i const low = _mm512_set1_epi64(0xffffffffll);
    __m512i const upper = _mm512_srl_epi64(_mm512_andnot_si512(low, dwords), shift);
    __m512i const out =
        _mm512_shuffle_epi8(_mm512_or_si512(_mm512_and_si512(dwords, low), upper), gather);
    store_16(bytes, _mm512_castsi512_si128(out));
    store_16(bytes + 2 * b, _mm512_extracti32x4_epi32(out, 1));
    store_16(bytes + 4 * b, _mm512_extracti32x4_epi32(out, 2));
    store_16(bytes + 6 * b, _mm512_extracti32x4_epi32(out, 3));
}

/// Packs fields from the first on, 64 at a time, and returns how many. Writes the bytes of these
/// fields alone.
inline std::size_t pack_blocks(std::uint8_t const* fields, std::size_t n, int bits,
                               std::uint8_t* bytes) noexcept {
    auto const b = static_cast<std::size_t>(bits);
    std::size_t const whole = n / 64 * 64;
    if (bits == 8) {
        if (whole > 0) std::memcpy(bytes, fields, whole);
        return whole;
    }
    // 1 and 2^bits side by side; the factor is the unsigned operand, where 128 has a byte.
    __m512i const pairs = _mm512_set1_epi16(static_cast<short>(1 | 1 << (bits + 8)));
    __m512i const fours = _mm512_set1_epi32(1 | 1 << (2 * bits + 16));
    __m512i const gather = _mm512_broadcast_i32x4(load_16(window_of(bits).gather.data()));
    __m128i const shift = _mm_cvtsi32_si128(32 - 4 * bits);
    for (std::size_t i = 0; i < whole; i += 64, bytes += 8 * b) {
        __m512i const words = _mm512_maddubs_epi16(pairs, _mm512_loadu_si512(fields + i));
        if (bits == 4) {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes), _mm512_cvtepi16_epi8(words));
            continue;
        }
        __m512i const dwords = _mm512_madd_epi16(words, fours);
        if (bits == 2) {
            store_16(bytes, _mm512_cvtepi32_epi8(dwords));
        } else if (i + 192 <= whole) {
            pack_64(dwords, shift, gather, b, bytes);
        } else {
            std::uint8_t room[96];
            pack_64(dwords, shift, gather, b, room);
            std::memcpy(bytes, room, 8 * b);
        }
    }
    return whole;
}

/// Sixteen fields in lanes of 32 bits, from a load at the first of their bytes. Bits above those of
/// the field are not cleared.
[[nodiscard]] QTK_ALWAYS_INLINE __m512i window_lanes(__m128i window, __m512i place,
                                                     __m512i shift) noexcept {
    return _mm512_mulhi_epu16(_mm512_shuffle_epi8(_mm512_broadcast_i32x4(window), place), shift);
}

/// Unpacks fields from the first on and returns how many: a multiple of 16. Reads before `end`
/// alone.
inline std::size_t unpack_blocks(std::uint8_t const* bytes, std::uint8_t const* end, int bits,
                                 std::uint8_t* fields, std::size_t n) noexcept {
    auto const b = static_cast<std::size_t>(bits);
    std::size_t i = 0;
    if (bits == 4) {
        __m512i const low = _mm512_set1_epi8(15);
        for (; i + 64 <= n; i += 64, bytes += 32) {
            __m512i const pairs =
                _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<__m256i const*>(bytes)));
            _mm512_storeu_si512(
                fields + i,
                _mm512_and_si512(_mm512_or_si512(pairs, _mm512_slli_epi16(pairs, 4)), low));
        }
    } else if (bits == 2) {
        __m512i const low = _mm512_set1_epi8(3);
        for (; i + 64 <= n; i += 64, bytes += 16) {
            __m512i v = _mm512_cvtepu8_epi32(load_16(bytes));
            v = _mm512_or_si512(v, _mm512_slli_epi32(v, 12));
            v = _mm512_or_si512(v, _mm512_slli_epi32(v, 6));
            _mm512_storeu_si512(fields + i, _mm512_and_si512(v, low));
        }
    } else if (bits == 8) {
        i = n / 16 * 16;
        if (i > 0) std::memcpy(fields, bytes, i);
        return i;
    }
    bit_window const& w = window_of(bits);
    __m512i const place = _mm512_load_si512(w.place.data());
    __m512i const shift = _mm512_load_si512(w.shift.data());
    __m512i const mask = _mm512_set1_epi32((1 << bits) - 1);
    for (; i + 16 <= n && end - bytes >= 16; i += 16, bytes += 2 * b) {
        __m512i const v = _mm512_and_si512(window_lanes(load_16(bytes), place, shift), mask);
        store_16(fields + i, _mm512_cvtepi32_epi8(v));
    }
    return i;
}

}  // namespace QTK_ABI_NS
}  // namespace qtk::avx512
QTK_REGION_END
#endif
